"""Who waits for whose lock among the builds of this host, seen by looking at the kernel's list of locks."""

import threading
import time
from collections import deque
from dataclasses import dataclass

from apps.builds.domain.lock_waits import LockKind, LockWaits, kind_of
from apps.lib import procfs
from apps.lib.kernel_locks import File, Waiting, open_files, read_waiting

LOOK_SECONDS = 0.01
BUILD = "SWARMYARD_BUILD"  # in the environment of what a build starts: the name of its report
MOST_KEPT = 10_000  # waits that nobody took
TOLD_AFTER = 0.5  # seconds: a wait that goes on for longer is told before it is over


@dataclass(frozen=True, slots=True)
class BuildWait:
    """A wait; `ms` is how long it was, or is so far. `build` and `holder` are names of reports; a holder that is no
    build of ours has its pid alone. `began`: unix seconds."""

    build: str
    kind: LockKind
    path: str
    holder: str
    holder_pid: int
    began: float
    ms: float


@dataclass(frozen=True, slots=True)
class Parties:
    build: str
    holder: str
    kind: LockKind
    path: str


class LockWatch:
    """`look` is to be called each LOOK_SECONDS while anybody builds, by one thread; `taken` by any."""

    def __init__(self) -> None:
        self._waits = LockWaits()
        self._parties: dict[tuple[int, File], Parties] = {}
        self._over: deque[BuildWait] = deque(maxlen=MOST_KEPT)

    def look(self) -> None:
        waiting = read_waiting()
        for wait in waiting:
            known = self._parties.get((wait.waiter, wait.file))
            if wait.waiter and (known is None or not known.build):
                # While both are there to be asked; again where one couldn't be, as one that is just starting.
                self._parties[wait.waiter, wait.file] = parties(wait)
        now = time.monotonic()
        for over in self._waits.reading(now, waiting):
            known = self._parties.pop((over.waiter, over.file))
            if known.build:
                began = time.time() - (now - over.began)
                ms = over.seconds * 1000
                self._over.append(
                    BuildWait(known.build, known.kind, known.path, known.holder, over.holder, began, ms)
                )

    def rest(self) -> None:
        """Nobody builds: what was seen last is over, and says nothing of what comes next."""
        self._waits = LockWaits()
        self._parties.clear()

    def ongoing(self) -> list[BuildWait]:
        """Waits of builds that aren't over, those that go on for a while already."""
        now, clock = time.monotonic(), time.time()
        found = []
        for key, wait in self._waits.ongoing.copy().items():
            known, seconds = self._parties.get(key), now - wait.began
            if known is not None and known.build and seconds >= TOLD_AFTER:
                began, ms = clock - seconds, seconds * 1000
                found.append(
                    BuildWait(known.build, known.kind, known.path, known.holder, wait.holder, began, ms)
                )
        return found

    def taken(self) -> list[BuildWait]:
        return [self._over.popleft() for _ in range(len(self._over))]


def parties(wait: Waiting) -> Parties:
    build = procfs.environment(wait.waiter).get(BUILD, "")
    if not build:
        return Parties("", "", LockKind.OTHER, "")
    files = open_files(wait.waiter)
    path = files.get(wait.file, "")
    holder = procfs.environment(wait.holder).get(BUILD, "") if wait.holder else ""
    return Parties(build, holder, kind_of(path, files.values()), path)


def watch(locks: LockWatch, anybody_builds: threading.Event, stop: threading.Event) -> None:
    """For a thread of its own, as a database that is busy would hold looks up."""
    while not stop.is_set():
        if not anybody_builds.wait(0.5):
            continue
        locks.look()
        if stop.wait(LOOK_SECONDS):
            return
        if not anybody_builds.is_set():
            locks.look()
            locks.rest()
