"""A directory for one run of a benchmark, and an end that leaves neither it nor any process, however the run ends."""

import ctypes
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
ENDING_SECONDS = 20.0


@contextmanager
def own_place() -> Iterator[Path]:
    """What loses its parent becomes our child, so at the end all that was started is below us."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    place = Path(tempfile.mkdtemp(prefix="yard-bench-", dir="/tmp"))
    try:
        yield place
    finally:
        end_all()
        while place.exists():  # a thread that was cut off may still write into it
            shutil.rmtree(place, ignore_errors=True)


def end_all() -> None:
    """Killed, again and again: one that is killed leaves its children to us."""
    until = time.monotonic() + ENDING_SECONDS
    while (below := children()) and time.monotonic() < until:
        for pid in below:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        time.sleep(0.01)


def children() -> list[int]:
    found: list[int] = []
    for path in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            found += [int(word) for word in path.read_text().split()]
    return found
