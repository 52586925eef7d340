"""Warm build directories, held against what a real cargo makes of clean ones."""

import fcntl
import hashlib
import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from apps.builds.seeding import SEEDING, NothingToSeed, changed_since, seed
from apps.builds.source_times import sync_times
from tests.workspaces.repositories import git

from .crates import make_crates, write

pytestmark = pytest.mark.needs("cargo", "git")
CRATES = {"base": [], "middle": ["base"], "apart": [], "app": ["middle", "apart"]}


class Land:
    """A repository with a base that is built, and worktrees for agents."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.repository = make_crates(place / "repository", CRATES, binary="app")
        write(
            self.repository / "base" / "build.rs",
            'fn main() { println!("cargo:rerun-if-changed=words.txt"); println!("cargo:rustc-env=WORDS={}", '
            'std::fs::read_to_string("words.txt").unwrap().trim()); }',
        )
        write(self.repository / "base" / "words.txt", "hello")
        write(
            self.repository / "base" / "src" / "lib.rs",
            'pub fn total() -> u64 { env!("WORDS").len() as u64 }\n#[test]\nfn it_counts() { assert!(total() > 0); }\n',
        )
        write(self.repository / ".gitignore", "target\n")
        git(place, "init", "-q", "-b", "main", str(self.repository))
        self.cargo(self.repository, place / "nowhere", "generate-lockfile")
        git(self.repository, "add", "-A")
        git(self.repository, "commit", "-q", "-m", "all")
        self.base, self.warm = self.worktree("base"), place / "warm"
        for command in (["check"], ["build"], ["test", "--no-run"]):
            assert self.cargo(self.base, self.warm, *command).returncode == 0

    def worktree(self, name: str) -> Path:
        git(self.repository, "worktree", "add", "-q", "--detach", str(self.place / name))
        return self.place / name

    def agent(self, name: str) -> tuple[Path, Path]:
        """A workspace and its seeded build directory."""
        workspace, directory = self.worktree(name), self.place / f"{name}-built"
        seed(self.warm, directory)
        sync_times(self.base, workspace)
        return workspace, directory

    def cargo(self, workspace: Path, directory: Path, *argv: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CARGO_")}
        environment |= {"CARGO_TARGET_DIR": str(directory), "CARGO_TERM_COLOR": "never"}
        return subprocess.run(
            ["cargo", *argv], cwd=workspace, env=environment, capture_output=True, text=True, timeout=120
        )

    def run(self, workspace: Path, directory: Path) -> str:
        done = self.cargo(workspace, directory, "run", "-q")
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def land(tmp_path):
    return Land(tmp_path)


def compiled(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Names of the crates that weren't fresh."""
    return [
        line.split()[1] for line in done.stderr.splitlines() if line.split()[0] in ("Compiling", "Checking")
    ]


def contents(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*")
        if path.is_file()
    }


@pytest.mark.slow
def test_the_first_build_of_an_agent_has_nothing_to_do(land):
    workspace, directory = land.agent("a")

    for command in (["check"], ["build"], ["test", "--no-run"]):
        done = land.cargo(workspace, directory, *command)
        assert (done.returncode, compiled(done)) == (0, []), done.stderr


@pytest.mark.slow
def test_a_seeded_directory_takes_next_to_no_disk(land):
    _, directory = land.agent("a")

    def own_blocks(place: Path) -> int:
        return sum(
            path.stat().st_blocks for path in place.rglob("*") if path.is_file() and path.stat().st_nlink == 1
        )

    before = sum(path.stat().st_blocks for path in land.warm.rglob("*") if path.is_file())
    assert own_blocks(directory) < before / 2


@pytest.mark.slow
def test_what_agents_build_is_what_clean_builds_give(land):
    edits = {
        "one": ("base/words.txt", "hello, world"),
        "two": ("apart/src/lib.rs", "pub fn total() -> u64 { 40 }\n"),
        "three": ("middle/src/lib.rs", "pub fn total() -> u64 { base::total() * 100 }\n"),
        "four": (
            "app/src/main.rs",
            'fn main() { println!("{}", apart::total() + middle::total() + 1000); }\n',
        ),
    }
    agents = {name: land.agent(name) for name in edits}
    for name, (path, text) in edits.items():
        write(agents[name][0] / path, text)

    said = {name: land.run(*agents[name]) for name in edits}

    assert len(set(said.values())) == len(edits)
    for name, (workspace, _) in agents.items():
        assert said[name] == land.run(workspace, land.place / f"{name}-clean"), name
    assert land.run(land.base, land.warm) == land.run(land.base, land.place / "base-clean")


@pytest.mark.slow
def test_nothing_that_an_agent_builds_changes_the_base_or_its_neighbour(land):
    (workspace, directory), (_, neighbour) = land.agent("a"), land.agent("b")
    before, beside = contents(land.warm), contents(neighbour)

    for text in ("pub fn total() -> u64 { 7 }\n", 'compile_error!("no");\n', "pub fn total() -> u64 { 8 }\n"):
        write(workspace / "middle" / "src" / "lib.rs", text)
        write(workspace / "base" / "words.txt", text[:10].replace("\n", ""))
        for command in (["check"], ["build"], ["test", "-q"], ["build", "--release"], ["doc", "-q"]):
            land.cargo(workspace, directory, *command)
    land.cargo(workspace, directory, "clean")

    assert contents(land.warm) == before
    assert contents(neighbour) == beside
    done = land.cargo(land.base, land.warm, "build")
    assert (done.returncode, compiled(done)) == (0, [])


@pytest.mark.slow
def test_what_an_agent_builds_with_the_same_result_touches_nothing_of_the_base(land):
    """At the base's own path, as in a view. Metadata stays as it was: then rustc gives out that of
    its incremental state, and cargo sets its time."""
    seed(land.warm, land.place / "seeded")
    base = land.warm.rename(land.place / "kept")
    (land.place / "seeded").rename(land.warm)
    built_at = time.time()
    for name in ("app/src/main.rs", "apart/src/lib.rs"):
        os.utime(land.base / name)

    for command in (["check"], ["test", "--no-run"], ["build"]):
        assert land.cargo(land.base, land.warm, *command).returncode == 0

    assert changed_since(base, built_at) == ""


def test_code_that_does_not_compile_is_never_fresh(land):
    workspace, directory = land.agent("a")
    write(workspace / "base" / "src" / "lib.rs", 'compile_error!("no");\n')

    done = land.cargo(workspace, directory, "check")

    assert done.returncode == 101
    assert "compile_error" in done.stderr or "error: no" in done.stderr


def test_a_directory_that_agents_share_takes_broken_code_for_fresh(land):
    """Why each has its own: two checkouts, one directory, and cargo sees no difference."""
    first, second, shared = land.worktree("a"), land.worktree("b"), land.place / "shared"
    write(second / "apart" / "src" / "lib.rs", 'compile_error!("no");\n')
    later = (first / "apart" / "src" / "lib.rs").stat()
    assert land.cargo(first, shared, "check").returncode == 0
    os.utime(second / "apart" / "src" / "lib.rs", ns=(later.st_atime_ns, later.st_mtime_ns))

    taken_for_fresh = land.cargo(second, shared, "check", "-p", "apart")
    own = land.cargo(second, land.place / "own", "check", "-p", "apart")

    assert taken_for_fresh.returncode == 0
    assert own.returncode == 101


@pytest.mark.slow
def test_a_file_of_another_commit_is_compiled(land):
    write(land.repository / "apart" / "src" / "lib.rs", "pub fn total() -> u64 { 500 }\n")
    git(land.repository, "commit", "-q", "-am", "later")

    workspace, directory = land.agent("a")
    done = land.cargo(workspace, directory, "build")

    assert compiled(done) == ["apart", "app"]
    assert land.run(workspace, directory).strip() == "507"


@pytest.mark.slow
def test_directories_get_the_base_s_times_where_they_hold_the_same_names(land):
    for number, inside in enumerate(("apart/src", "app/src", "middle/src")):
        os.utime(land.base / inside, (1e9 + number, 1e9 + number))
    workspace = land.worktree("a")
    write(workspace / "app" / "src" / "more.rs", "")

    sync_times(land.base, workspace)

    def alike(inside: str) -> bool:
        return (workspace / inside).stat().st_mtime_ns == (land.base / inside).stat().st_mtime_ns

    assert [alike("apart/src"), alike("app/src"), alike("middle/src")] == [True, False, True]


@pytest.mark.slow
def test_a_file_that_was_touched_in_the_base_keeps_its_time(land):
    workspace = land.worktree("a")
    write(land.base / "apart" / "src" / "lib.rs", "pub fn total() -> u64 { 9 }\n")
    own = (workspace / "apart" / "src" / "lib.rs").stat().st_mtime_ns

    sync_times(land.base, workspace)

    assert (workspace / "apart" / "src" / "lib.rs").stat().st_mtime_ns == own
    assert (workspace / "app" / "src" / "main.rs").stat().st_mtime_ns == (
        (land.base / "app" / "src" / "main.rs").stat().st_mtime_ns
    )
    assert git(workspace, "status", "--porcelain") == ""


@pytest.mark.slow
def test_it_waits_for_a_build_of_the_base_that_runs(land):
    lock = (land.warm / "debug" / ".cargo-lock").open("rb")
    fcntl.flock(lock, fcntl.LOCK_EX)
    seeding = threading.Thread(target=seed, args=(land.warm, land.place / "b"))
    seeding.start()
    seeding.join(0.3)
    assert not (land.place / "b").exists()
    assert not (land.place / f"b{SEEDING}").exists()

    lock.close()
    seeding.join(30)

    assert (land.place / "b" / "debug").is_dir()


@pytest.mark.slow
def test_locks_of_the_base_are_not_the_agent_s(land):
    _, directory = land.agent("a")

    with (land.warm / "debug" / ".cargo-lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with (directory / "debug" / ".cargo-lock").open("rb") as own:
            fcntl.flock(own, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.slow
def test_a_seed_that_fails_halfway_leaves_nothing(land, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("apps.builds.seeding.keep_times", full)

    with pytest.raises(OSError, match="No space left"):
        seed(land.warm, land.place / "a")

    assert not list(land.place.glob("a*"))


@pytest.mark.slow
def test_what_a_killed_seed_left_is_no_seed(land):
    write(land.place / f"a{SEEDING}" / "debug" / "half", "")

    seed(land.warm, land.place / "a")

    assert not (land.place / "a" / "debug" / "half").exists()
    assert contents(land.place / "a") == contents(land.warm)


def test_without_a_base_it_says_so(tmp_path):
    with pytest.raises(NothingToSeed, match="no warm build directory"):
        seed(tmp_path / "none", tmp_path / "a")


@pytest.mark.slow
def test_a_directory_that_is_there_is_left_alone(land):
    write(land.place / "a" / "mine", "x")

    with pytest.raises(FileExistsError):
        seed(land.warm, land.place / "a")

    assert (land.place / "a" / "mine").read_text() == "x"


@pytest.mark.slow
def test_a_file_that_git_takes_for_changed_from_the_start_gets_its_time_too(land):
    """Committed with line endings that git would not keep: in no checkout it is ever clean."""
    path = "apart/src/lib.rs"
    write(land.repository / path, "pub fn total() -> u64 {\r\n 40 }\r\n")
    git(land.repository, "commit", "-q", "-am", "as on Windows")
    write(land.repository / ".gitattributes", "* text=auto\n")
    git(land.repository, "add", ".gitattributes")
    git(land.repository, "commit", "-q", "-m", "from now on otherwise")
    git(land.base, "checkout", "-q", "--detach", "main")
    workspace, other = land.worktree("a"), land.worktree("b")
    for number, place in enumerate((land.base, workspace)):
        os.utime(place / path, (1e9 + number, 1e9 + number))  # so that git looks into it
    write(other / path, "pub fn total() -> u64 {\r\n 41 }\r\n")
    assert path in git(workspace, "diff-files", "--name-only")

    sync_times(land.base, workspace)
    sync_times(land.base, other)

    times = [(place / path).stat().st_mtime_ns for place in (land.base, workspace, other)]
    assert times[0] == times[1] != times[2]
