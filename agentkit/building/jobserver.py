"""A jobserver that the builds of this machine share: so many compilers at once beyond the first one of each build.

It is make's, a fifo that holds a token for each of them; cargo and rustc know it. A fifo forgets its tokens when nobody
has it open, and a build that is killed takes those along that it had. So each shim has it open, under a shared lock,
for as long as its build compiles, and whoever is alone there fills it anew. Until then the host process puts a new one
in the place of one that has lost tokens (apps/builds/jobserver.py). Without any token each build compiles on, one crate
at a time.
"""

from __future__ import annotations

import fcntl
import os

VARIABLE = "CARGO_MAKEFLAGS"  # which cargo asks first, and sets anew for what it starts
FIFO, NUMBER = "fifo", "tokens"  # made and written by the host process
MOST = 1024  # tokens; a pipe holds 4,096 bytes at least


class Tokens:
    """A build's share in them. Closing, or the end of the process, leaves it."""

    def __init__(self, directory: str) -> None:
        """Raises OSError where there is no jobserver."""
        self.path = os.path.join(directory, FIFO)  # noqa: PTH118
        number = number_in(directory)
        self._fd = os.open(self.path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if is_alone(self._fd):
                fill(self._fd, number)
            fcntl.flock(self._fd, fcntl.LOCK_SH)
        except OSError:
            self.close()
            raise

    @property
    def flags(self) -> str:
        return f"-j --jobserver-auth=fifo:{self.path}"

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def is_alone(fd: int) -> bool:
    """The lock is then ours alone, until it is taken as a shared one: another that fills in between takes nothing from
    anybody, as no build has begun."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def fill(fd: int, number: int) -> None:
    try:
        while os.read(fd, 4096):
            pass
    except BlockingIOError:
        pass
    os.write(fd, b"+" * number)


def number_in(directory: str) -> int:
    with open(os.path.join(directory, NUMBER)) as file:  # noqa: PTH118, PTH123
        try:
            return min(max(0, int(file.read(20))), MOST)
        except ValueError:
            return 0
