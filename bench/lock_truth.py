"""How long builds waited for locks of files, as the kernel lists them, by no code of the yard's."""

import os
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from threading import Event

LOOK_SECONDS = 0.01
LOCK = ".cargo-lock"
BELOW = (LOCK, f"*/{LOCK}", f"*/*/{LOCK}", f"*/*/*/{LOCK}")


class LockTruth:
    """Process-seconds of waiting, by device and inode of the file. `watch` is for a thread."""

    def __init__(self) -> None:
        self.waited: dict[str, float] = defaultdict(float)

    def watch(self, stop: Event) -> None:
        before = time.monotonic()
        while not stop.wait(LOOK_SECONDS):
            now = time.monotonic()
            for file in waited_for(Path("/proc/locks").read_text()):
                self.waited[file] += now - before
            before = now

    def seconds_for(self, directories: Iterable[Path]) -> float:
        """Of waits for cargo's locks of these build directories."""
        files = {named(path) for place in directories for below in BELOW for path in place.glob(below)}
        return sum(seconds for file, seconds in self.waited.items() if file in files)


def waited_for(locks: str) -> list[str]:
    """The files that somebody waits for, one entry for each who does. A line of it: `1: -> FLOCK ADVISORY WRITE 27914
    fd:00:1835 0 EOF`."""
    return [line.split()[6] for line in locks.splitlines() if line.split()[1:2] == ["->"]]


def named(path: Path) -> str:
    status = path.stat()
    return f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
