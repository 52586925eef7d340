"""The wish to stop, as a signal brings it."""

from __future__ import annotations

import os
import select
import signal
import time


class Stop:
    """The first SIGTERM or SIGINT is a wish, the second ends the process at once."""

    def __init__(self) -> None:
        self.is_wished = False
        self._wake, write_fd = os.pipe()
        os.set_blocking(write_fd, False)
        signal.set_wakeup_fd(write_fd)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._take)

    def __call__(self) -> bool:
        return self.is_wished

    def sleep(self, seconds: float) -> None:
        """Ends early when the wish comes."""
        poller = select.poll()
        poller.register(self._wake, select.POLLIN)
        until = time.monotonic() + seconds
        while not self.is_wished and (left := until - time.monotonic()) > 0:
            poller.poll(left * 1000)

    def _take(self, number: int, frame: object) -> None:
        self.is_wished = True
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_DFL)
