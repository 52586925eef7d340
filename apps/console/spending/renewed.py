"""What takes long to look up, shared by all who show it."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

KEPT_SECONDS = 2.0
MOST_OF_TIME = 0.05  # that looking it up again and again may take


class Renewed(Generic[T]):
    """Looked up again every few seconds at most; less often where that takes long. One thread at a time does it, the
    others wait for its answer."""

    def __init__(self, look_up: Callable[[], T], clock: Callable[[], float] = time.monotonic) -> None:
        self._look_up = look_up
        self._clock = clock
        self._lock = threading.Lock()
        self._known: tuple[float, float, T] | None = None  # since when, until when, and what

    def fresh(self) -> T:
        """As it is now."""
        asked = self._clock()
        with self._lock:
            if self._known is None or self._known[0] <= asked:
                self._renew()
            return self._value()

    def recent(self) -> T:
        with self._lock:
            if self._known is None or self._known[1] <= self._clock():
                self._renew()
            return self._value()

    def _value(self) -> T:
        assert self._known is not None
        return self._known[2]

    def _renew(self) -> None:
        begun = self._clock()
        found = self._look_up()
        ended = self._clock()
        self._known = begun, ended + max(KEPT_SECONDS, (ended - begun) / MOST_OF_TIME), found
