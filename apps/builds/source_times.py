"""The times of source files, by which cargo tells whether a crate changed.

A checkout that was just made is newer than any build. A file gets the time of the base's only where both hold the same
blob and neither was touched since: whatever an agent changed keeps its own, newer time and is compiled again.
"""

import os
from pathlib import Path

from apps.workspaces import git


def sync_times(base: Path, workspace: Path) -> int:
    """How many files of `workspace` got the time that they have in `base`, which was built. Raises GitFailed."""
    theirs, ours = git.clean_blobs(base), git.clean_blobs(workspace)
    synced = 0
    for path, blob in ours.items():
        if theirs.get(path) == blob and sync(base / path, workspace / path):
            synced += 1
    git.refresh_index(
        workspace
    )  # it remembers the old times, and each `git status` would read the files again
    return synced


def sync(source: Path, copy: Path) -> bool:
    """False for what has gone, or isn't a plain file."""
    try:
        status = source.lstat()
        os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)
    except OSError:
        return False
    return True
