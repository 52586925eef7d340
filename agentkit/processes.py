"""Programs that an agent's own tools start: argument lists, no shell, bounded in time and in what is kept.

They stay in the agent's process group, so that a pause or a stop of the agent reaches its builds.
`subprocess` would add 10 ms to every start; what is needed of it is small.
"""

from __future__ import annotations

import os
import select
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

KEPT = 8192  # bytes at the end of the output
STOP_GRACE = 3.0  # seconds for what runs when the agent is told to stop
KILL_GRACE = 2.0
_LOOK = 50  # ms between looks at a program that says nothing


class Finished:
    """`code` is the exit code, or minus the number of the signal that ended the program."""

    __slots__ = ("code", "memory", "ms", "output", "why")

    def __init__(self, code: int, output: bytes, ms: float, memory: int, why: str) -> None:
        self.code = code
        self.output = output
        self.ms = ms
        self.memory = memory  # peak of the largest process, in bytes
        self.why = why  # "" | "timeout" | "stopped"


def start(argv: Sequence[str], environment: Mapping[str, str], output_fd: int | None = None) -> int:
    """The pid. With `output_fd`, stdin is empty and both outputs go there; else all three are inherited.

    Raises OSError when the program can't be started.
    """
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = []
    if output_fd is not None:
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, output_fd, 1),
            (os.POSIX_SPAWN_DUP2, output_fd, 2),
        ]
    # Python ignores SIGPIPE, and a caller may hold signals back: the programs it starts must inherit neither.
    return os.posix_spawnp(
        argv[0], list(argv), environment, file_actions=actions, setsigdef=[signal.SIGPIPE], setsigmask=[]
    )


def run(
    argv: Sequence[str],
    environment: Mapping[str, str],
    *,
    timeout: float,
    keep: int = KEPT,
    watch: Callable[[bytes, float], None] | None = None,
    stopping: Callable[[], bool] = bool,
) -> Finished:
    """Run a program to its end. `watch` sees the output as it comes, with the time of the monotonic clock.

    After `timeout`, or STOP_GRACE after `stopping()` turns true, the program and its descendants are ended.
    """
    read_fd, write_fd = os.pipe()
    began = time.monotonic()
    try:
        pid = start(argv, environment, write_fd)
    except OSError:
        os.close(read_fd)
        raise
    finally:
        os.close(write_fd)
    try:
        return _Run(pid, read_fd, began, keep, watch).finish(began + timeout, stopping)
    finally:
        os.close(read_fd)


class _Run:
    def __init__(
        self, pid: int, read_fd: int, began: float, keep: int, watch: Callable[[bytes, float], None] | None
    ) -> None:
        self.pid = pid
        self.read_fd = read_fd
        self.began = began
        self.keep = keep
        self.watch = watch
        self.output = b""
        self.is_at_end = False
        self.status: int | None = None
        self.memory = 0
        self.why = ""
        self.poller = select.poll()
        self.poller.register(read_fd, select.POLLIN)

    def finish(self, deadline: float, stopping: Callable[[], bool]) -> Finished:
        nap = 0.0002
        while self.status is None:
            if self.is_at_end:
                time.sleep(nap)
                nap = min(nap * 2, 0.02)
            else:
                self._read(_LOOK)
            self._reap()
            if not self.why and stopping():
                self.why, deadline = "stopped", min(deadline, time.monotonic() + STOP_GRACE)
            if self.status is None and time.monotonic() > deadline:
                self.why = self.why or "timeout"
                self._end()
        self._read_rest()
        ms = (time.monotonic() - self.began) * 1000
        return Finished(os.waitstatus_to_exitcode(self.status), self.output, ms, self.memory, self.why)

    def _read(self, wait_ms: int) -> bool:
        if not self.poller.poll(wait_ms):
            return False
        chunk = os.read(self.read_fd, 65536)
        if not chunk:
            self.is_at_end = True
            return False
        self.output = (self.output + chunk)[-self.keep :]
        if self.watch is not None:
            self.watch(chunk, time.monotonic())
        return True

    def _read_rest(self) -> None:
        """What a pipe can hold, and no more: a daemon that the program left behind may write on for ever."""
        for _ in range(4):
            if self.is_at_end or not self._read(0):
                return

    def _reap(self) -> None:
        pid, status, usage = os.wait4(self.pid, os.WNOHANG)
        if pid:
            self.status = status
            self.memory = usage.ru_maxrss * 1024

    def _end(self) -> None:
        for number, grace in ((signal.SIGTERM, KILL_GRACE), (signal.SIGKILL, KILL_GRACE)):
            family = [self.pid, *descendants(self.pid)]
            for pid in family:
                send(pid, number)
            until = time.monotonic() + grace
            while self.status is None and time.monotonic() < until:
                self.poller.poll(10)
                if not self.is_at_end:
                    self._read(0)
                self._reap()
            if self.status is not None and number == signal.SIGTERM:
                for pid in family[1:]:
                    send(pid, signal.SIGKILL)
                return


def send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def descendants(pid: int) -> list[int]:
    """Children of children too, as /proc tells them; none where it doesn't."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        parent = waiting.pop()
        try:
            with open(f"/proc/{parent}/task/{parent}/children") as listing:  # noqa: PTH123 - pathlib costs 7 ms
                children = [int(word) for word in listing.read().split()]
        except OSError:
            continue
        found += children
        waiting += children
    return found
