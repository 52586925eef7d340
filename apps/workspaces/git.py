"""git, as values in and values out. The user's hooks, prompts and configuration for signing never run here."""

import fcntl
import functools
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from apps.lib.environment import passed_on
from apps.lib.paths import remove_tree
from apps.lib.process import Completed, ProgramMissing, run
from apps.lib.text import plain_text
from apps.workspaces.domain.naming import is_url, redacted
from apps.workspaces.exceptions import GitFailed

# Hooks belong to the user's own work: a post-checkout hook must not run once per agent.
QUIET = (
    *("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"),
    *("-c", "advice.detachedHead=false", "-c", "gc.auto=0"),
)
# Extensions of the repository format that leave references and worktrees as they were.
PLAIN_EXTENSIONS = {"extensions.objectformat", "extensions.partialclone", "extensions.preciousobjects"}
# A look at what changed, by no program but git; in a submodule it would run another git, deaf to our settings.
DIFF = ("diff", "--no-ext-diff", "--no-textconv", "--ignore-submodules=dirty")
# Objects that lack are not fetched.
NO_FETCH = {"GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1"}
BLOCK = 4096  # of most file systems
SUBMODULE = "160000"  # mode of an entry
LISTING = 200_000_000  # bytes of a list of all files
SHORT = 30.0
SIZING = 3.0  # somebody waits for it, and can do without
CHECKOUT = 300.0
CLONE = 840.0  # below the time limit of a job


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file of a diff; `added` and `removed` are lines, None for a binary file."""

    path: str
    added: int | None
    removed: int | None


@dataclass(frozen=True, slots=True)
class Commit:
    commit: str
    at: int
    author: str
    subject: str


@dataclass(frozen=True, slots=True)
class Index:
    """Object by path of each tracked file, and those that differ from it in the working copy, for git."""

    blobs: dict[str, str]
    changed: frozenset[str]


def environment() -> dict[str, str]:
    ours = {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C.UTF-8"}
    return {**passed_on(os.environ), **ours}


def reading(worktree: Path) -> dict[str, str]:
    """What keeps a look at an agent's workspace from running programs that the agent named in its configuration.

    A filter of the operator's own configuration stays, as files kept with it would all seem changed without it.
    """
    found = git(worktree, "config", "--show-scope", "-z", "--get-regexp", r"^filter\.").text().split("\0")
    keys = [
        entry.partition("\n")[0]
        for scope, entry in zip(found[::2], found[1::2], strict=False)
        if scope in ("local", "worktree")
    ]
    filters = {name for key in keys if (name := key.removeprefix("filter.").rpartition(".")[0])}
    switched_off = [
        (f"filter.{name}.{variable}", value)
        for name in sorted(filters)
        for variable, value in (("clean", ""), ("process", ""), ("required", "false"))
    ]
    values = {"GIT_CONFIG_COUNT": str(len(switched_off))}
    for number, (key, value) in enumerate(switched_off):
        values |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return values | NO_FETCH  # the agent could name any program as the way to its remote


def git(
    directory: Path | None,
    *arguments: str,
    timeout: float = SHORT,
    max_output: int = 10_000_000,
    more: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
) -> Completed:
    where = ("-C", str(directory)) if directory else ()
    argv = ["git", *where, *QUIET, *arguments]
    try:
        return run(
            argv, env={**environment(), **(more or {})}, stdin=stdin, timeout=timeout, max_output=max_output
        )
    except ProgramMissing as error:
        raise GitFailed(f"{error}: install git on this machine.") from error


def output(
    directory: Path | None,
    *arguments: str,
    timeout: float = SHORT,
    max_output: int = 10_000_000,
    more: Mapping[str, str] | None = None,
) -> str:
    """Standard output of a git command that must succeed."""
    done = git(directory, *arguments, timeout=timeout, max_output=max_output, more=more)
    if done.timed_out:
        raise GitFailed(f"git {arguments[0]} took longer than {timeout:.0f} s and was stopped.")
    if done.code != 0:
        said = reason(done, [one for one in arguments if is_url(one)])
        raise GitFailed(said or f"git {arguments[0]} ended with {done.code}.")
    return done.stdout.decode("utf-8", "replace")


def reason(done: Completed, urls: Sequence[str] = ()) -> str:
    """The first telling line of what git said: the cause. Those after it tell what else went wrong from it.

    Everybody may read it: `urls`, which git was given, and any other lose their secrets here.
    """
    lines = [
        line.strip()
        for line in plain_text(done.stderr.decode("utf-8", "replace"), keep_lines=True).splitlines()
        if line.strip()
    ]
    telling = [line for line in lines if line.startswith(("fatal:", "error:"))]
    return redacted(telling[0] if telling else lines[-1] if lines else "", urls)[:400]


def is_repository(path: Path) -> bool:
    """Whether `path` itself is the top of a checkout or a bare repository (not merely somewhere inside one)."""
    done = git(path, "rev-parse", "--is-bare-repository", "--show-toplevel")
    words = done.stdout.decode("utf-8", "replace").split("\n")
    if words[0] == "true":
        return Path(output(path, "rev-parse", "--absolute-git-dir").rstrip("\n")).resolve() == path.resolve()
    return done.code == 0 and Path(words[1]).resolve() == path.resolve()


def distrusts_owner(path: Path) -> bool:
    """Whether git refuses to look at a repository that belongs to another user."""
    return b"dubious ownership" in git(path, "rev-parse", "--git-dir").stderr


def current_branch(path: Path) -> str | None:
    """The branch that HEAD names; None when HEAD is detached."""
    done = git(path, "symbolic-ref", "--quiet", "--short", "HEAD")
    return done.stdout.decode("utf-8", "replace").strip() or None


def commit_of(path: Path, revision: str) -> str | None:
    """The commit's hash; None when there is no such commit."""
    done = git(path, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    return done.stdout.decode().strip() or None


def tree_size(path: Path, commit: str) -> int | None:
    """Disk that a checkout of the commit takes, in whole blocks; None where objects lack (a partial clone), or where to
    tell takes too long. Files that a filter makes larger, as LFS does, count as they are kept."""
    listing = ("ls-tree", "-r", "-t", "-l", "-z", commit)
    done = git(path, *listing, timeout=SIZING, max_output=1_000_000_000, more=NO_FETCH)
    if not done.ok or done.truncated:
        return None
    sizes = (entry.split(None, 4)[3] for entry in done.stdout.split(b"\0") if entry)
    # A directory takes a block, and so does a submodule, which stays empty.
    return sum(BLOCK if size == b"-" else -(-int(size) // BLOCK) * BLOCK for size in sizes)


def yard_groups(path: Path) -> set[str]:
    """The waves, of whatever home, that have branches here: `w12` for `yard/w12/agent-05`."""
    refs = output(path, "for-each-ref", "--format=%(refname:lstrip=3)", "refs/heads/yard/").splitlines()
    return {ref.partition("/")[0] for ref in refs}


def create_branches(repository: Path, branches: Iterable[str], commit: str) -> bool:
    """All of them in one process, or none: False when one is there already, or for whatever other reason.

    `add_worktree` then takes them as made. Never where git itself must add the worktrees.
    """
    if not layout_is_plain(repository):
        return False
    wanted = "".join(f"create refs/heads/{branch} {commit}\n" for branch in branches)
    return git(repository, "update-ref", "--stdin", stdin=wanted.encode()).code == 0


def add_worktree(
    repository: Path, *, path: Path, branch: str, commit: str, branch_is_made: bool = False
) -> None:
    """Register a checkout of `commit` at `path` on the new branch `branch`; `check_out` fills it.

    Raises GitFailed or FileExistsError when branch or path are there already. Any number may be added at the same time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not layout_is_plain(repository):
        add = (
            "worktree",
            "add",
            "--quiet",
            "--no-checkout",
            "--no-track",
            "-b",
            branch,
            "--",
            str(path),
            commit,
        )
        with turn(repository):
            output(repository, *add)
        return
    # `git worktree add` reads all worktrees while it adds one, and fails on one that another is just writing. What it
    # leaves behind is documented (gitrepository-layout), so we write that ourselves: whole, and put in place at once.
    if not branch_is_made:
        output(repository, "update-ref", f"refs/heads/{branch}", commit, "")
    path.mkdir()
    common = common_git_directory(repository)
    own = common / "worktrees" / branch.replace("/", "-")
    own.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="yard-", dir=common, ignore_cleanup_errors=True) as directory:
        draft = Path(directory)
        draft.chmod(common.stat().st_mode & 0o777)
        (draft / "HEAD").write_text(f"ref: refs/heads/{branch}\n")
        (draft / "commondir").write_text("../..\n")
        (draft / "gitdir").write_text(f"{path}/.git\n")
        draft.rename(own)  # fails on a directory that isn't empty
    (path / ".git").write_text(f"gitdir: {own}\n")


def add_detached_worktree(repository: Path, *, path: Path, commit: str) -> None:
    """Register a checkout at `path` on no branch, in our turn; `move_to` fills it. One that git still knows of there,
    though nothing of it is left, is replaced."""
    add = ("worktree", "add", "--quiet", "--force", "--detach", "--no-checkout", "--", str(path), commit)
    output(repository, *add)


@functools.lru_cache(maxsize=64)
def layout_is_plain(repository: Path) -> bool:
    """Whether this repository keeps references and worktrees in the way that every version of git understands."""
    names = git(repository, "config", "--name-only", "--get-regexp", r"^extensions\.").stdout.decode(
        "utf-8", "replace"
    )
    return set(names.lower().split()) <= PLAIN_EXTENSIONS


def check_out(worktree: Path) -> None:
    """Write the files of a worktree that was added."""
    output(worktree, "reset", "--hard", "--quiet", timeout=CHECKOUT)


def move_to(worktree: Path, commit: str) -> None:
    """Bring a detached worktree to `commit`: its tracked files become those, whatever they were."""
    output(worktree, "reset", "--hard", "--quiet", commit, timeout=CHECKOUT)


def foreign_files(worktree: Path) -> set[str]:
    """Paths of files and directories that git doesn't keep, ignored or not."""
    status = ("status", "--porcelain", "-z", "--ignored", "--untracked-files=normal")
    entries = output(worktree, *status, more=reading(worktree), max_output=LISTING).split("\0")
    return {entry[3:] for entry in entries if entry.startswith(("?? ", "!! "))}


@contextmanager
def turn(repository: Path) -> Iterator[None]:
    """One process or thread at a time that changes this repository's list of worktrees."""
    directory = common_git_directory(repository)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def remove_worktree(repository: Path, path: Path) -> None:
    """Forget a checkout, in our turn; its files go with it as far as git takes them for one. Absent is a normal answer.

    Not by `worktree prune`: that would also forget worktrees of the user's which are not mounted just now.
    """
    git(repository, "worktree", "remove", "--force", "--force", "--", str(path), timeout=CHECKOUT)


def forget_worktree(repository: Path, branch: str, path: Path) -> None:
    """Remove what git keeps of a worktree of ours that has no files: `worktree remove` refuses those."""
    own = common_git_directory(repository) / "worktrees" / branch.replace("/", "-")
    with suppress(FileNotFoundError):
        if (own / "gitdir").read_text() == f"{path}/.git\n" and not (path / ".git").exists():
            remove_tree(own.parent, own)


def checked_out_at(repository: Path, branch: str) -> Path | None:
    """The worktree that has `branch` checked out, if one has."""
    where = output(repository, "for-each-ref", "--format=%(worktreepath)", f"refs/heads/{branch}")
    return Path(where.rstrip("\n")) if where.strip() else None


def delete_branch(repository: Path, branch: str, *, at: str) -> None:
    """Delete `branch` if it still points to the commit `at`."""
    git(repository, "update-ref", "-d", f"refs/heads/{branch}", at)


def git_directory(worktree: Path) -> Path:
    """The worktree's own part of its repository's git directory, as its `.git` file names it."""
    kind, _, path = (worktree / ".git").read_text().rstrip("\n").partition(": ")
    if kind != "gitdir":
        raise GitFailed(f"{worktree}/.git is not the file of a linked worktree.")
    return Path(path)


@functools.lru_cache(maxsize=64)
def common_git_directory(worktree: Path) -> Path:
    """The repository's git directory, which all of its worktrees share."""
    return (worktree / output(worktree, "rev-parse", "--git-common-dir").rstrip("\n")).resolve()


def clone(url: str, path: Path) -> None:
    output(None, "clone", "--quiet", "--bare", "--", url, str(path), timeout=CLONE)


def origin(repository: Path) -> str:
    """The URL that it was cloned from; "" when it wasn't."""
    return git(repository, "config", "--get", "remote.origin.url").text().rstrip("\n")


def index_of(worktree: Path) -> Index:
    more = reading(worktree)
    changed = output(worktree, "diff-files", "--name-only", "-z", max_output=LISTING, more=more).split("\0")
    entries = output(worktree, "ls-files", "--stage", "-z", max_output=LISTING, more=more).split("\0")
    blobs = {}
    for entry in entries:
        described, _, path = entry.partition("\t")
        if path:
            mode, blob, stage = described.split(" ")
            if stage == "0" and mode != SUBMODULE:
                blobs[path] = blob
    return Index(blobs, frozenset(changed))


def refresh_index(worktree: Path) -> None:
    """Let the index know the files' new times; what differs is a normal answer."""
    git(worktree, "update-index", "-q", "--refresh", timeout=CHECKOUT, more=reading(worktree))


def diff_stat(worktree: Path, base: str) -> list[FileChange]:
    """Files that differ between the working copy and `base`, untracked ones left out."""
    arguments = (*DIFF, "--numstat", "-z", "--no-renames", base, "--")
    text = output(worktree, *arguments, more=reading(worktree))
    changes = []
    for entry in text.split("\0"):
        if entry:
            added, removed, path = entry.split("\t", 2)
            changes.append(
                FileChange(
                    path, None if added == "-" else int(added), None if removed == "-" else int(removed)
                )
            )
    return changes


def diff_text(worktree: Path, base: str, limit: int) -> str:
    """The unified diff of the working copy against `base`, at most `limit` bytes."""
    arguments = (*DIFF, "--no-color", base, "--")
    done = git(worktree, *arguments, max_output=limit, more=reading(worktree))
    return done.stdout[:limit].decode("utf-8", "replace")


def commits(worktree: Path, base: str, limit: int) -> list[Commit]:
    text = output(
        worktree,
        "log",
        "--no-show-signature",
        "-z",
        f"--max-count={limit}",
        "--format=%H%x1f%ct%x1f%an%x1f%s",
        f"{base}..HEAD",
        "--",
        more=reading(worktree),
    )
    rows = [entry.split("\x1f", 3) for entry in text.split("\0") if entry]
    return [
        Commit(commit, int(at), plain_text(author), plain_text(subject))
        for commit, at, author, subject in rows
    ]
