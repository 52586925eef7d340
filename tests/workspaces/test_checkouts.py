"""Workspaces on disk: many at once from one repository, whole or not at all, and nothing of the user's touched."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from apps.workspaces import git as adapter
from apps.workspaces.checkouts import create_workspace
from apps.workspaces.git import tree_size
from apps.workspaces.models import Repository, Workspace
from tests.needs import needs, own_mounts

from .repositories import belongings, git, make_bare, make_repository

ROOT = Path(__file__).parents[2]


@pytest.fixture
def workspace(home, repository):
    """Makes the row (unsaved) of the workspace of agent N."""

    def make(number=1, source=repository):
        return Workspace(
            repository=Repository(name="project", path=str(source)),
            path=str(home / "workspaces" / "w1" / f"agent-{number:02d}"),
            branch=f"yard/w1/agent-{number:02d}",
            base_commit=git(source, "rev-parse", "main"),
        )

    return make


def branches(repository):
    return set(git(repository, "for-each-ref", "--format=%(refname:short)", "refs/heads/yard").splitlines())


def worktrees(repository):
    lines = git(repository, "worktree", "list", "--porcelain").splitlines()
    return {line.removeprefix("worktree ") for line in lines if line.startswith("worktree ")}


def test_it_makes_a_checkout_on_a_branch_of_its_own(workspace, repository):
    made = workspace()

    assert create_workspace(made) == ""

    assert git(made.path, "rev-parse", "--abbrev-ref", "HEAD") == made.branch
    assert git(made.path, "rev-parse", "HEAD") == made.base_commit
    assert git(made.path, "status", "--porcelain") == ""
    assert (Path(made.path) / "file-0.txt").read_text() == "0\n" * 10
    assert made.git_directory == git(made.path, "rev-parse", "--absolute-git-dir")


@pytest.mark.parametrize("plain", [True, False], ids=["plain", "with an extension"])
def test_forty_at_once_from_one_repository(workspace, repository, plain):
    if not plain:
        git(repository, "config", "core.repositoryFormatVersion", "1")
        git(repository, "config", "extensions.worktreeConfig", "true")
    before = belongings(repository)
    made = [workspace(number) for number in range(40)]

    with ThreadPoolExecutor(max_workers=40) as pool:
        problems = list(pool.map(create_workspace, made))

    assert problems == [""] * 40
    assert branches(repository) == {one.branch for one in made}
    assert {git(one.path, "status", "--porcelain", "--branch") for one in made} == {
        f"## {one.branch}" for one in made
    }
    assert belongings(repository) == before


def test_processes_don_t_get_in_each_other_s_way(workspace, repository, tmp_path):
    """Another yard, or another worker, on the same repository at the same time."""
    script = (
        "import sys; from pathlib import Path; from apps.workspaces import git\n"
        "for n in range(10):\n"
        "    path = Path(sys.argv[2]) / f'{sys.argv[3]}-{n}'\n"
        "    git.add_worktree(Path(sys.argv[1]), path=path, branch=f'yard/{sys.argv[3]}/{n}', commit='HEAD')\n"
        "    git.check_out(path)\n"
    )
    argv = [sys.executable, "-c", script, str(repository), str(tmp_path / "w")]

    running = [
        subprocess.Popen([*argv, f"p{number}"], cwd=ROOT, stderr=subprocess.PIPE) for number in range(3)
    ]

    assert [(one.communicate()[1], one.returncode) for one in running] == [(b"", 0)] * 3
    assert len(branches(repository)) == 30


def test_the_user_s_own_work_is_not_touched(workspace, repository):
    (repository / "file-0.txt").write_text("changed")
    (repository / "file-1.txt").write_text("staged")
    (repository / "new.txt").write_text("untracked")
    git(repository, "add", "file-1.txt")
    git(repository, "stash", "push", "--quiet", "--", "file-0.txt")
    git(repository, "branch", "topic")
    git(repository, "config", "branch.autoSetupMerge", "always")
    git(repository, "config", "branch.autoSetupRebase", "always")
    before = belongings(repository)

    for number in (1, 2):
        assert create_workspace(workspace(number)) == ""

    assert belongings(repository) == before


def test_the_user_s_hooks_do_not_run(workspace, repository, tmp_path):
    for name in ("post-checkout", "post-index-change", "reference-transaction", "fsmonitor"):
        hook = repository / ".git" / "hooks" / name
        hook.write_text(f"#!/bin/sh\necho {name} >>{tmp_path}/ran\n")
        hook.chmod(0o755)
    git(repository, "config", "core.fsmonitor", str(repository / ".git" / "hooks" / "fsmonitor"))

    assert create_workspace(workspace()) == ""

    assert not (tmp_path / "ran").exists()


def test_a_bare_repository_gives_workspaces(workspace, repository, tmp_path):
    bare = make_bare(tmp_path / "bare.git", repository)
    made = workspace(source=bare)

    assert create_workspace(made) == ""
    assert git(made.path, "rev-parse", "--abbrev-ref", "HEAD") == made.branch


def test_an_odd_name_of_a_repository_is_fine(workspace, tmp_path):
    source = make_repository(tmp_path / "-odd ünïcödé 'name'")

    assert create_workspace(workspace(source=source)) == ""


LEFTOVERS = {
    "branch": lambda one, source: git(source, "branch", one.branch, one.base_commit),
    "worktree without files": lambda one, source: adapter.add_worktree(
        source, path=Path(one.path), branch=one.branch, commit=one.base_commit
    ),
    "whole worktree": lambda one, source: create_workspace(one),
    "files that git doesn't know": lambda one, source: (
        create_workspace(one),
        (Path(one.path) / ".git").unlink(),
    ),
    "files alone": lambda one, source: (
        Path(one.path).mkdir(parents=True),
        (Path(one.path) / "half").touch(),
    ),
    "worktree whose files are gone": lambda one, source: (
        create_workspace(one),
        subprocess.run(["rm", "-rf", one.path], check=True),
    ),
    "worktree whose branch is gone": lambda one, source: (
        create_workspace(one),
        git(source, "update-ref", "-d", f"refs/heads/{one.branch}"),
    ),
}


@pytest.mark.parametrize("leave", LEFTOVERS.values(), ids=LEFTOVERS)
def test_what_a_cut_off_attempt_left_is_made_anew(workspace, repository, leave):
    leave(workspace(), repository)
    made = workspace()

    assert create_workspace(made) == ""

    assert git(made.path, "status", "--porcelain", "--branch") == f"## {made.branch}"
    assert not (Path(made.path) / "half").exists()
    assert branches(repository) == {made.branch}
    assert worktrees(repository) == {str(repository), made.path}


def test_a_branch_with_commits_of_its_own_is_left_alone(workspace, repository):
    made = workspace()
    create_workspace(made)
    (Path(made.path) / "work.txt").write_text("hours of work")
    git(made.path, "add", "--all")
    git(made.path, "commit", "--quiet", "--message", "work")
    head = git(made.path, "rev-parse", "HEAD")

    problem = create_workspace(workspace())

    assert "has commits of its own" in problem
    assert git(repository, "rev-parse", made.branch) == head
    assert (Path(made.path) / "work.txt").exists()


def test_a_branch_that_is_checked_out_elsewhere_is_left_alone(workspace, repository, tmp_path):
    """Of another home on the same repository, or the user's own."""
    made = workspace()
    git(repository, "worktree", "add", "--quiet", "-b", made.branch, str(tmp_path / "theirs"))

    problem = create_workspace(made)

    assert f"is checked out at {tmp_path}/theirs" in problem
    assert git(tmp_path / "theirs", "status", "--porcelain", "--branch") == f"## {made.branch}"


def test_a_worktree_of_the_user_s_that_is_not_mounted_just_now_is_not_forgotten(
    workspace, repository, tmp_path
):
    git(repository, "worktree", "add", "--quiet", "-b", "usb", str(tmp_path / "usb" / "work"))
    (tmp_path / "usb").rename(tmp_path / "unplugged")
    LEFTOVERS["files that git doesn't know"](workspace(), repository)

    assert create_workspace(workspace()) == ""

    assert str(tmp_path / "usb" / "work") in worktrees(repository)


def test_a_repository_that_is_gone_is_a_clear_problem(workspace, repository):
    made = workspace()
    repository.rename(repository.with_name("moved"))

    assert str(repository) in create_workspace(made)


def test_a_base_that_is_gone_is_a_clear_problem_and_leaves_nothing(workspace, repository):
    made = workspace()
    made.base_commit = "1" * 40

    assert made.base_commit in create_workspace(made)
    assert branches(repository) == set()
    assert worktrees(repository) == {str(repository)}


def test_without_git_it_says_so(workspace, monkeypatch):
    made = workspace()
    monkeypatch.setenv("PATH", "/nowhere")

    assert "install git" in create_workspace(made)


@needs("mounts")
@pytest.mark.parametrize(("way", "words"), [("each by git", "unable to write"), ("copies", "No space left")])
def test_a_full_disk_is_told_and_nothing_half_made_is_left(tmp_path, way, words):
    small, repository = tmp_path / "small", make_repository(tmp_path / "project", files=0, commit=False)
    small.mkdir()
    for number in range(20):
        (repository / f"file-{number}").write_bytes(bytes([number]) * 45_000)
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "first")
    before = belongings(repository)

    done = subprocess.run(
        [
            *own_mounts(),
            sys.executable,
            "-m",
            "tests.workspaces.on_a_small_disk",
            str(small),
            str(repository),
            way,
        ],
        cwd=ROOT,
        capture_output=True,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr.decode()
    result = json.loads(done.stdout)
    problems = [problem for problem in result["made"].values() if problem]
    good = [int(number) for number, problem in result["made"].items() if not problem]
    assert good
    assert problems
    assert all("is full" in problem and words in problem for problem in problems), problems
    assert result["left"] == good
    assert result["again"] == ""
    assert belongings(repository) == before
    assert len(branches(repository)) == len(good) + 1


def test_the_size_of_a_checkout_is_known_beforehand(tmp_path):
    source = make_repository(tmp_path / "project", files=0, commit=False)
    (source / "deep").mkdir()
    (source / "deep" / "large file\n").write_bytes(b"x" * 10_000)
    (source / "empty").touch()
    git(source, "add", "--all")
    git(source, "commit", "--quiet", "--message", "first")

    size = tree_size(source, git(source, "rev-parse", "HEAD"))

    assert size == 3 * 4096 + 0 + 4096  # in blocks, and one for the directory


def test_the_size_of_a_checkout_whose_objects_lack_is_not_known(tmp_path):
    source = make_repository(tmp_path / "project")
    git(source, "config", "uploadpack.allowFilter", "true")
    partial = tmp_path / "partial"
    git(tmp_path, "clone", "--quiet", "--bare", "--filter=blob:none", f"file://{source}", str(partial))

    assert tree_size(partial, git(source, "rev-parse", "HEAD")) is None
