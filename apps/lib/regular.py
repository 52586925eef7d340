"""Files that somebody else may have put there: read without waiting for anybody, and never more than asked for.

Opening a FIFO or a device waits for its other end or does something to it; a sparse file has any size.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class NotRegular(OSError):
    """What stands there is no file of bytes: a FIFO, a device, a directory, a socket."""


@contextmanager
def opened_regular(path: Path, *, follow: bool = False) -> Iterator[int]:
    """A descriptor to read a regular file. OSError for anything else; for a link too, unless `follow`."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    fd = os.open(path, flags)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise NotRegular(f"{path} is not a regular file")
        yield fd
    finally:
        os.close(fd)


def read_regular(path: Path, limit: int, *, follow: bool = False) -> bytes:
    """At most the first `limit` bytes."""
    with opened_regular(path, follow=follow) as fd:
        data = b""
        while len(data) < limit and (more := os.read(fd, limit - len(data))):
            data += more
        return data
