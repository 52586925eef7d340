"""Which repository is meant, and what a workspace holds, read from its checkout."""

from pathlib import Path

from apps.lib.text import can_be_stored
from apps.workspaces import git
from apps.workspaces.git import Commit, FileChange
from apps.workspaces.models import Repository, Workspace


def local_path(text: str) -> Path | None:
    """The real path that a person means by `text`; None when it can't be one."""
    try:
        return Path(text).expanduser().resolve()
    except (OSError, RuntimeError, ValueError):  # an unknown ~user, a loop of links, a NUL
        return None


def find_repository(name_or_path: str) -> Repository | None:
    """A registered repository, by its name or by where it lies."""
    if not name_or_path or not can_be_stored(name_or_path):
        return None
    path = local_path(name_or_path)
    named = Repository.objects.filter(name=name_or_path).first()
    return named or (Repository.objects.filter(path=str(path)).first() if path else None)


def checkout_size(repository: Repository, commit: str) -> int:
    """Disk that a checkout of `commit` takes, 0 where nobody can tell."""
    if repository.checkout_commit == commit:
        return repository.checkout_bytes or 0
    return git.tree_size(Path(repository.path), commit) or 0


def diff_stat(workspace: Workspace) -> list[FileChange]:
    return git.diff_stat(Path(workspace.path), workspace.base_commit)


def diff_text(workspace: Workspace, limit: int = 200_000) -> str:
    return git.diff_text(Path(workspace.path), workspace.base_commit, limit)


def commits(workspace: Workspace, limit: int = 50) -> list[Commit]:
    return git.commits(Path(workspace.path), workspace.base_commit, limit)
