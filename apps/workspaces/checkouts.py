"""Workspaces on disk: made whole or not at all. Writes no rows, so that many can be made side by side in threads."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from django.conf import settings

from apps.lib import procfs
from apps.lib.paths import OutsideRoot, remove_tree
from apps.workspaces import git
from apps.workspaces.copies import Checkouts
from apps.workspaces.exceptions import GitFailed
from apps.workspaces.models import Workspace

MB = 1024 * 1024
FULL = 16 * MB  # with less free than this a disk counts as full
FAULTS = (GitFailed, OSError, OutsideRoot)


def nobody_else() -> bool:
    return True


def create_workspace(
    workspace: Workspace, checkouts: Checkouts | None = None, is_ours: Callable[[], bool] = nobody_else
) -> str:
    """Make the checkout, where `checkouts` is given like others of its commit; "" or the problem, for people.

    Run again after it was cut off, it starts anew. `is_ours` is asked before anything is cleared away for that: by
    then somebody else may have been told to make it, and an agent may be at work in it.
    """
    path, repository = Path(workspace.path), Path(workspace.repository.path)
    try:
        if problem := register(workspace, repository, path, checkouts, is_ours):
            return problem
        own = git.git_directory(path)
        if checkouts:
            checkouts.fill(path, own)
        else:
            git.check_out(path)
        workspace.git_directory = str(own)
    except FAULTS as error:
        problem = told(error)
        with suppress(*FAULTS), git.turn(repository):
            if is_ours():
                clear_away(workspace)
        return problem
    return ""


def register(
    workspace: Workspace,
    repository: Path,
    path: Path,
    checkouts: Checkouts | None,
    is_ours: Callable[[], bool],
) -> str:
    """Make branch and worktree known to git; "" or what is in the way and isn't ours to take."""
    branch, commit = workspace.branch, workspace.base_commit
    try:
        made = checkouts is not None and checkouts.makes(branch)
        git.add_worktree(repository, path=path, branch=branch, commit=commit, branch_is_made=made)
        return ""
    except (GitFailed, OSError):
        with git.turn(repository):
            if not is_ours():
                return "somebody else makes it by now"
            if problem := make_room(workspace):
                return problem
    git.add_worktree(repository, path=path, branch=branch, commit=commit)
    return ""


def make_room(workspace: Workspace) -> str:
    """Take away what an attempt left that was cut off; "" or what is in the way and isn't ours to take."""
    path, repository = Path(workspace.path), Path(workspace.repository.path)
    found = git.commit_of(repository, f"refs/heads/{workspace.branch}")
    if found not in (None, workspace.base_commit):
        return f"the branch {workspace.branch} exists already and has commits of its own: it was left alone"
    user = git.checked_out_at(repository, workspace.branch) if found else None
    if user is not None and user != path:
        return f"the branch {workspace.branch} exists already and is checked out at {user}: it was left alone"
    if found or os.path.lexists(path):
        # It was cut off before the agent started: nothing of an agent is in it.
        clear_away(workspace)
    return ""


def clear_away(workspace: Workspace) -> None:
    """In our turn, and only of a workspace in which no agent ran."""
    path, repository = Path(workspace.path), Path(workspace.repository.path)
    git.remove_worktree(repository, path)
    if os.path.lexists(
        path
    ):  # half removed by an attempt before this one: git doesn't know it for a worktree
        remove_tree(settings.SWARMYARD_HOME / "workspaces", path)
        git.remove_worktree(repository, path)
    git.forget_worktree(repository, workspace.branch, path)
    if git.checked_out_at(repository, workspace.branch) is None:
        git.delete_branch(repository, workspace.branch, at=workspace.base_commit)


def told(error: Exception) -> str:
    """git names the file that it couldn't write, but seldom why."""
    disk = procfs.disk(settings.SWARMYARD_HOME)
    if disk.free < FULL or disk.inodes_free == 0:
        return f"the disk of {settings.SWARMYARD_HOME} is full ({disk.free // MB} MB free): {error}"
    return str(error)
