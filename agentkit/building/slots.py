"""Build slots of this machine: at most so many builds at once, whoever starts them, in the order in which they came.

A build holds a ticket: a file in the slots' directory, locked for as long as its process lives, so a build that is
killed gives its slot back at that moment, and no process of the control plane is needed. A ticket's name tells its
place in the queue and its content whether it waits or runs. Nobody takes a lock of somebody else's to decide: a
ticket that wants to run says so first and looks again then, so of two that decide at once at least one sees the other.

Nobody waits for ever: a short build that comes HEAD_START after a long one is behind it, whatever else comes. A look
costs as much as there are slots, however many wait, as those at the front of the queue tell that there is no room.

Frozen builds (of an agent that is paused) neither run nor stand in the way of others.
"""

from __future__ import annotations

import fcntl
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = "limit"  # written by the host process; without it, as many as there are cores
HEAD_START = 10.0  # seconds that a short build (a check) goes ahead of a long one that came before it
PATIENCE = 60.0  # seconds that others come after a patient one and still go ahead of it
NEXT_NAP = 0.01  # seconds between two looks of the one whose turn is next
NAP, LONGEST_NAP = 0.025, 1.0  # of others: for each that is to end before, and at most
_EARLIEST = 1e3  # seconds: the machine's clock begins near 0, and a head start goes before that
_WAITS, _RUNS = b"w", b"r"


class Ticket:
    """One build's place. `wait` takes the slot; closing, or the end of the process, gives it back."""

    def __init__(self, directory: str, *, short: bool, patient: bool = False, pid: int | None = None) -> None:
        """Raises OSError where no ticket can be written."""
        self.directory = directory
        self.pid = pid or os.getpid()
        # Of a clock that is the same for all and never set back, or who comes then would be ahead of all who wait.
        place = _EARLIEST + time.monotonic() - (HEAD_START if short else 0.0) + (PATIENCE if patient else 0.0)
        self.before = 0  # tickets that came before ours, at the last look
        self.name = f"{place * 1e6:020.0f}.{self.pid}"
        hidden = os.path.join(directory, "." + self.name)  # noqa: PTH118 - pathlib costs 7 ms
        # Locked before it is seen: an unlocked ticket is one whose process is gone.
        self._fd = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            os.pwrite(self._fd, _WAITS, 0)
            os.rename(hidden, self.path)  # noqa: PTH104
        except OSError:
            os.close(self._fd)
            raise

    @property
    def path(self) -> str:
        return os.path.join(self.directory, self.name)  # noqa: PTH118

    def wait(self, *, look: Callable[[list[int]], None] = lambda ahead: None) -> float:
        """Seconds until the slot was ours. `look` is called at each look that finds no room, with the pids of the
        first builds that are ahead, as many as there are slots."""
        began = time.monotonic()
        while ahead := self._try():
            look(ahead)
            between = self.before - len(ahead)  # those who wait before us
            time.sleep(NEXT_NAP if between <= 0 else min(NAP * between, LONGEST_NAP))
        return time.monotonic() - began

    def close(self) -> None:
        """Gives the slot back, once."""
        if self._fd < 0:
            return
        try:
            os.unlink(self.path)  # noqa: PTH108
        except OSError:
            pass
        os.close(self._fd)
        self._fd = -1

    def _try(self) -> list[int]:
        """Empty when the slot is ours; else who is ahead."""
        limit = limit_of(self.directory)
        if len(ahead := self._ahead(limit)) >= limit:
            return ahead
        os.pwrite(self._fd, _RUNS, 0)
        if len(ahead := self._ahead(limit)) < limit:
            return []
        os.pwrite(self._fd, _WAITS, 0)
        return ahead

    def _ahead(self, limit: int) -> list[int]:
        """Pids of those that run, and of those that wait before us; the first `limit` of them."""
        names = sorted(name for name in os.listdir(self.directory) if name[0].isdigit())  # noqa: PTH208
        self.before = sum(name < self.name for name in names)
        found: list[int] = []
        for name in names:
            if len(found) >= limit:
                break
            if name == self.name or not is_ticket(name):
                continue
            state = state_of(os.path.join(self.directory, name))  # noqa: PTH118
            if (state == _RUNS or (state == _WAITS and name < self.name)) and not is_frozen(pid_of(name)):
                found.append(pid_of(name))
        return found


def limit_of(directory: str) -> int:
    try:
        with open(os.path.join(directory, LIMIT)) as file:  # noqa: PTH118, PTH123
            return max(1, int(file.read(20)))
    except (OSError, ValueError):
        return len(os.sched_getaffinity(0))


def is_ticket(name: str) -> bool:
    place, _, pid = name.partition(".")
    return place.isascii() and place.isdigit() and pid.isascii() and pid.isdigit()


def pid_of(name: str) -> int:
    return int(name.partition(".")[2])


def state_of(path: str) -> bytes:
    """Empty for one whose process is gone; its ticket is removed."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(fd, 1, 0)
    else:
        try:
            os.unlink(path)  # noqa: PTH108
        except OSError:
            pass
        return b""
    finally:
        os.close(fd)


def is_frozen(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
            return file.read(400).rpartition(b")")[2].split()[:1] == [b"T"]
    except OSError:
        return False
