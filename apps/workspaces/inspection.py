"""Looks at a repository, by git and therefore slow. The web process asks a worker for them, commands look themselves;
so what these take and return is plain text."""

import os
from pathlib import Path

from apps.lib.text import can_be_stored
from apps.workspaces import git
from apps.workspaces.exceptions import GitFailed, RepositoryRefused
from apps.workspaces.queries import local_path

MAX_PATH = 4096


def inspect(text: str, target: str | None) -> tuple[str, str]:
    """The path and landing target of a local repository, or a refusal that says what to do."""
    if not text.strip() or "\0" in text:
        raise RepositoryRefused("Give the path of a git repository, or a URL to clone.")
    refuse_line_breaks(text)
    path = local_path(text)
    if path is None or not os.path.isdir(path):  # noqa: PTH112 - False, not an error, where we may not look
        raise RepositoryRefused(
            f"{clean(text)} is not a directory: check the path (it is looked up on this machine)."
        )
    refuse_odd(str(path))
    try:
        refuse_no_repository(path)
        return str(path), target_of(path, target)
    except GitFailed as error:
        raise RepositoryRefused(f"{path}: {error}") from error


def refuse_no_repository(path: Path) -> None:
    if not git.is_repository(path):
        if git.distrusts_owner(path):
            raise RepositoryRefused(
                f"{path} belongs to another user, and git won't touch it: "
                f"allow it with `git config --global --add safe.directory {path}`."
            )
        raise RepositoryRefused(
            f"{path} is not the top of a git repository: run `git init` there, or give the right path."
        )


def refuse_odd(path: str) -> None:
    """Paths that git's own files, the database or a page can't hold."""
    refuse_line_breaks(path)
    if not can_be_stored(path):
        raise RepositoryRefused(
            f"{clean(path)}: this path has bytes in it that are no valid UTF-8: rename the directory."
        )
    if len(path) > MAX_PATH:
        raise RepositoryRefused(f"This path has {len(path)} characters: at most {MAX_PATH} can be kept.")


def refuse_line_breaks(path: str) -> None:
    if "\n" in path or "\r" in path:
        raise RepositoryRefused(
            "This path has a line break in it, which git's own files can't hold: rename the directory."
        )


def clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def target_of(path: Path, target: str | None) -> str:
    target = target or git.current_branch(path)
    if target is None:
        raise RepositoryRefused(
            f"{path} has no branch checked out: name the landing target with --target BRANCH."
        )
    if git.commit_of(path, f"refs/heads/{target}") is None:
        if git.commit_of(path, "HEAD") is None:
            raise RepositoryRefused(
                f"{path} has no commit yet: make a first commit, so that agents have a start."
            )
        raise RepositoryRefused(
            f"{path} has no branch “{target}”: name an existing one with --target BRANCH."
        )
    return target


def head_of(path: str, branch: str) -> str:
    """The commit from which agents start."""
    if not Path(path).is_dir():
        raise GitFailed(f"{path} is gone: the repository was moved or removed.")
    commit = git.commit_of(Path(path), f"refs/heads/{branch}")
    if commit is None:
        raise GitFailed(f"there is no commit on its landing target “{branch}”.")
    return commit


def start_of(path: str, branch: str, sized: str, size: int | None) -> tuple[str, int | None, list[str]]:
    """The commit to start from, the disk that a checkout of it takes (None where nobody can tell; `size` is that of the
    commit `sized`), and the waves, of whatever home, that have branches there."""
    commit = head_of(path, branch)
    size = size if commit == sized else git.tree_size(Path(path), commit)
    return commit, size, sorted(git.yard_groups(Path(path)))
