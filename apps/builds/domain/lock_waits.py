"""Waits for file locks, from readings of who waits now.

A wait begins halfway between the last reading that didn't show it and the first that did, and ends the same way: with
a reading each 10 ms its length is known within 10 ms, and a wait that fits between two readings isn't seen.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePath

from apps.lib.kernel_locks import File, Waiting

CARGO_LOCK = ".cargo-lock"


class LockKind(StrEnum):
    BUILD_DIRECTORY = "build-directory"
    ARTIFACT_DIRECTORY = "artifact-directory"
    PACKAGE_CACHE = "package-cache"
    SLOT = "build-slot"
    GIT = "vcs"
    OTHER = "build-tool"


@dataclass(frozen=True, slots=True)
class LockWait:
    waiter: int  # pid
    holder: int  # pid; 0 unknown
    file: File
    began: float  # seconds, of the readings' clock
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.began


@dataclass(slots=True)
class Ongoing:
    began: float
    holder: int


class LockWaits:
    """Feed it each reading; it gives the waits that are over."""

    def __init__(self) -> None:
        self.ongoing: dict[tuple[int, File], Ongoing] = {}
        self.read_at: float | None = None

    def reading(self, now: float, waiting: Iterable[Waiting]) -> list[LockWait]:
        between = now if self.read_at is None else (self.read_at + now) / 2
        self.read_at = now
        seen = {(wait.waiter, wait.file): wait.holder for wait in waiting if wait.waiter}
        ended = [
            LockWait(waiter, known.holder, file, known.began, max(known.began, between))
            for (waiter, file), known in self.ongoing.items()
            if (waiter, file) not in seen
        ]
        for wait in ended:
            del self.ongoing[wait.waiter, wait.file]
        for key, holder in seen.items():
            known = self.ongoing.setdefault(key, Ongoing(between, holder))
            known.holder = known.holder or holder
        return ended


def kind_of(path: str, also_open: Iterable[str] = ()) -> LockKind:
    """Of cargo's locks and git's, by the file's name. `also_open`: what else the one who waits has open."""
    name, parents = PurePath(path).name, PurePath(path).parts[:-1]
    if name == CARGO_LOCK:
        # Where artifacts lie apart (`build.build-dir`) both have a lock of this name; the build directory's is first.
        others = {PurePath(other).name for other in also_open if other != path}
        return LockKind.ARTIFACT_DIRECTORY if CARGO_LOCK in others else LockKind.BUILD_DIRECTORY
    if name in (".package-cache", ".package-cache-mutate"):
        return LockKind.PACKAGE_CACHE
    if name.endswith(".lock") and ".git" in parents:
        return LockKind.GIT
    return LockKind.OTHER
