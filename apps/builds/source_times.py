"""The times of source files, by which cargo tells whether a crate changed.

A checkout that was just made is newer than any build. A file gets the time of the base's only where both hold the same
blob and neither was touched since, or both are alike byte by byte: whatever an agent changed keeps its own, newer time
and is compiled again.
"""

import os
import stat
from pathlib import Path

from apps.workspaces import git


def sync_times(base: Path, workspace: Path) -> int:
    """How many files of `workspace` got the time that they have in `base`, which was built. Raises GitFailed."""
    theirs, ours = git.index_of(base), git.index_of(workspace)
    touched = theirs.changed | ours.changed
    synced = 0
    directories = set()
    for path, blob in ours.blobs.items():
        if theirs.blobs.get(path) != blob:
            continue
        source, copy = os.path.join(base, path), os.path.join(workspace, path)  # noqa: PTH118 - thousands
        if path not in touched or are_alike(source, copy):
            synced += sync(source, copy)
            directories.add(os.path.dirname(path))  # noqa: PTH120
    for inside in directories:
        sync_directory(os.path.join(base, inside), os.path.join(workspace, inside))  # noqa: PTH118
    git.refresh_index(
        workspace
    )  # it remembers the old times, and each `git status` would read the files again
    return synced


def sync_directory(source: str, copy: str) -> None:
    """A build script that is to run again when a directory changes does so for the directory's own time as well."""
    try:
        if sorted(os.listdir(source)) == sorted(os.listdir(copy)):  # noqa: PTH208
            sync(source, copy)
    except OSError:
        pass


def are_alike(source: str, copy: str) -> bool:
    """Byte by byte. For git some files differ that nobody touched: of such line endings as it would not keep."""
    try:
        one, other = os.lstat(source), os.lstat(copy)
        if not stat.S_ISREG(one.st_mode) or one.st_mode != other.st_mode or one.st_size != other.st_size:
            return False
        return Path(source).read_bytes() == Path(copy).read_bytes()
    except OSError:
        return False


def sync(source: str, copy: str) -> bool:
    """False for what has gone, or isn't a plain file."""
    try:
        status = os.lstat(source)
        os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)
    except OSError:
        return False
    return True
