"""One path for all checkouts of a repository: where its agents, each in a mount namespace of its own, see theirs.

Cargo and rustc keep absolute paths: incremental state is thrown away and `env!("CARGO_MANIFEST_DIR")` is stale in a
build directory that was made from one of another path. So agents see their workspaces and build directories, and the
base its own, at `builds/views/<repository>`. Everything is at its own path too.
"""

import os
from pathlib import Path

from apps.builds import places
from apps.lib.environment import passed_on
from apps.lib.regular import read_regular
from apps.workspaces import git
from apps.workspaces.exceptions import GitFailed

Pairs = list[list[str]]
WRAPPERS = (
    *("RUSTC_WRAPPER", "CARGO_BUILD_RUSTC_WRAPPER"),
    *("RUSTC_WORKSPACE_WRAPPER", "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER"),
)
LARGEST = 1_000_000  # bytes of a file of cargo's settings


def workspace_at(repository_pk: int) -> Path:
    return places.view_of(repository_pk) / "workspace"


def built_at(repository_pk: int) -> Path:
    return places.view_of(repository_pk) / "built"


def can_be_shown(checkout: Path) -> bool:
    """Whether git finds its way from another path too: relative paths to it, as submodules have them, don't hold. And
    whether rustc runs where it is asked to: see has_wrapper."""
    try:
        at_any_path = git.git_directory(checkout).is_absolute() and not (checkout / ".gitmodules").exists()
    except (GitFailed, OSError):
        return False
    return at_any_path and not has_wrapper(checkout)


def has_wrapper(checkout: Path) -> bool:
    """Whether the user has a compiler wrapper of his own. Mostly that is a cache, whose server is started by the first
    who asks, and compiles for all others what that one sees at the path that they have in common."""
    environment = passed_on(os.environ)
    if any(environment.get(name) for name in WRAPPERS):
        return True
    home = Path(environment.get("CARGO_HOME") or Path(environment.get("HOME", "/"), ".cargo"))
    places_of_files = [home, *(place / ".cargo" for place in (checkout, *checkout.parents))]
    return any(names_wrapper(place / name) for place in places_of_files for name in ("config.toml", "config"))


def names_wrapper(file: Path) -> bool:
    try:
        text = read_regular(file, LARGEST, follow=True)
    except OSError:
        return False
    return b"rustc-wrapper" in text or b"rustc-workspace-wrapper" in text


def show(checkout: Path, built: Path, *, repository_pk: int, pointer: str) -> Pairs:
    """What is to be mounted so that `checkout` and `built` are seen at the repository's path. Raises OSError.

    A worktree's git directory has a file that tells where its checkout is. Once a day git writes down there where it
    found itself, and for everybody outside of the view that would be nowhere: `git worktree prune` forgets such ones.
    So the agent's git gets a file of its own, named `pointer`, in place of it.
    """
    places_seen = workspace_at(repository_pk), built_at(repository_pk)
    for directory in (*places_seen, built, places.pointers()):
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    own = places.pointers() / pointer
    own.write_text(f"{places_seen[0]}/.git\n")
    return [
        [str(checkout), str(places_seen[0])],
        [str(built), str(places_seen[1])],
        [str(own), str(git.git_directory(checkout) / "gitdir")],
    ]


def real_path(path: str, built: Path, *, checkout: str, repository_pk: int) -> str:
    """Where a path lies that was told from inside of a view."""
    for seen, real in ((built_at(repository_pk), str(built)), (workspace_at(repository_pk), checkout)):
        if path == str(seen) or path.startswith(f"{seen}/"):
            return real + path[len(str(seen)) :]
    return path
