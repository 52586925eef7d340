"""What the long-running commands share: an end by signal, and a life no longer than their parent's."""

import ctypes
import os
import signal
import threading
from types import FrameType

PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)  # found now: between fork and exec there may be no loading


class StopSignal:
    """Set by SIGTERM or SIGINT; a second one ends the process at once."""

    def __init__(self) -> None:
        self.event = threading.Event()
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)

    def _stop(self, signum: int, frame: FrameType | None) -> None:
        if self.event.is_set():
            os._exit(128 + signum)
        self.event.set()

    @property
    def is_set(self) -> bool:
        return self.event.is_set()


def end_with_parent() -> None:
    """Ask the kernel for SIGTERM when the parent dies, whatever way it dies. For a child, before it execs."""
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
