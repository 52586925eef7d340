"""One path for all checkouts of a repository: git stays right, inside and outside."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from apps.builds import views
from apps.fleet import view
from tests.workspaces.repositories import ENVIRONMENT, git, make_repository

pytestmark = pytest.mark.needs("mounts", "git")


@pytest.fixture
def worktree(tmp_path, settings):
    settings.SWARMYARD_HOME = tmp_path / "home"
    repository = make_repository(tmp_path / "repository")
    git(repository, "worktree", "add", "-q", "-b", "one", str(tmp_path / "one"))
    git(repository, "worktree", "add", "-q", "-b", "two", str(tmp_path / "two"))
    return tmp_path / "one"


def in_view(worktree, script):
    pairs = views.show(worktree, worktree.parent / "built", repository_pk=1, pointer=worktree.name)
    words = view.prefix(pairs, str(views.workspace_at(1)))
    return subprocess.run(
        [*words, "sh", "-ec", script], capture_output=True, text=True, env=ENVIRONMENT, timeout=60
    )


def test_git_works_inside_and_outside(worktree):
    done = in_view(
        worktree,
        "git status --porcelain; echo x > new; git add new; git commit -qm inside; git worktree list",
    )

    assert done.returncode == 0, done.stderr
    assert str(views.workspace_at(1)) in done.stdout  # itself, and the other one at its own path
    assert str(worktree.with_name("two")) in done.stdout
    assert git(worktree, "log", "-1", "--format=%s %D") == "inside HEAD -> one"
    assert git(worktree, "status", "--porcelain") == ""
    assert str(worktree) in git(worktree, "worktree", "list")


def test_git_does_not_forget_worktrees_that_were_at_work_for_days(worktree):
    """After a day, git writes into its worktree's directory where it was started."""
    own = Path(git(worktree, "rev-parse", "--absolute-git-dir"))
    pairs = views.show(worktree, worktree.parent / "built", repository_pk=1, pointer=worktree.name)
    two_days = time.time() - 2 * 86_400
    for path in (own / "gitdir", Path(pairs[2][0])):
        os.utime(path, (two_days, two_days))

    words = view.prefix(pairs, str(views.workspace_at(1)))
    subprocess.run([*words, "git", "status"], check=True, capture_output=True, env=ENVIRONMENT, timeout=60)
    subprocess.run(
        [*words, "git", "worktree", "prune", "--expire=now"], check=True, env=ENVIRONMENT, timeout=60
    )
    git(worktree.parent / "repository", "worktree", "prune", "--expire=now")

    assert (own / "gitdir").read_text() == f"{worktree}/.git\n"
    listed = git(worktree, "worktree", "list")
    assert str(worktree) in listed
    assert str(worktree.with_name("two")) in listed


def test_a_worktree_can_be_removed_while_it_is_seen(worktree):
    pairs = views.show(worktree, worktree.parent / "built", repository_pk=1, pointer=worktree.name)
    words = view.prefix(pairs, str(views.workspace_at(1)))
    with subprocess.Popen(
        [*words, "sh", "-c", "echo up; read end"], stdin=-1, stdout=-1, text=True
    ) as process:
        assert process.stdout.readline() == "up\n"
        git(worktree.parent / "repository", "worktree", "remove", "--force", str(worktree))
        process.communicate("\n", timeout=30)

    assert str(worktree) not in git(worktree.parent / "repository", "worktree", "list")


def test_checkouts_with_submodules_stay_at_their_own_path(worktree):
    assert views.can_be_shown(worktree)
    (worktree / ".gitmodules").write_text("")
    assert not views.can_be_shown(worktree)
