"""What a workspace holds, read from its checkout."""

from pathlib import Path

from apps.workspaces import git
from apps.workspaces.git import Commit, FileChange
from apps.workspaces.models import Workspace


def diff_stat(workspace: Workspace) -> list[FileChange]:
    return git.diff_stat(Path(workspace.path), workspace.base_commit)


def diff_text(workspace: Workspace, limit: int = 200_000) -> str:
    return git.diff_text(Path(workspace.path), workspace.base_commit, limit)


def commits(workspace: Workspace, limit: int = 50) -> list[Commit]:
    return git.commits(Path(workspace.path), workspace.base_commit, limit)
