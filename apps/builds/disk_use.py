"""What a directory takes on disk: by blocks, a file with several links once."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

BLOCK = 512  # bytes, of st_blocks whatever the file system's own are
LONGEST_SECONDS = 30.0


class TookTooLong(Exception):
    """The tree is too large to be looked at as often as this is done."""


@dataclass(frozen=True, slots=True)
class DiskUse:
    """`shared`: the part of `bytes` whose files have links outside of the directory too: removing it frees less."""

    bytes: int
    shared: int


@dataclass(slots=True)
class Linked:
    blocks: int
    links: int  # that the file has
    seen: int = 0  # of them, here


def disk_use(place: Path, *, seconds: float = LONGEST_SECONDS) -> DiskUse:
    """Links aren't followed; what goes away meanwhile isn't counted. Raises FileNotFoundError, TookTooLong."""
    until = time.monotonic() + seconds
    blocks = place.lstat().st_blocks
    linked: dict[tuple[int, int], Linked] = {}
    pending = [os.fspath(place)]
    while pending:
        if time.monotonic() > until:
            raise TookTooLong(f"{place} has more than can be counted in {seconds:g} s")
        for entry in entries_of(pending.pop()):
            try:
                found = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if entry.is_dir(follow_symlinks=False):
                pending.append(entry.path)
            elif found.st_nlink > 1:
                known = linked.setdefault(
                    (found.st_dev, found.st_ino), Linked(found.st_blocks, found.st_nlink)
                )
                known.seen += 1
                continue
            blocks += found.st_blocks
    blocks += sum(file.blocks for file in linked.values())
    shared = sum(file.blocks for file in linked.values() if file.seen < file.links)
    return DiskUse(blocks * BLOCK, shared * BLOCK)


def entries_of(place: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(place) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
