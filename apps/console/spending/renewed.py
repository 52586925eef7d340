"""What takes long to look up, shared by all who show it."""

import math
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar, cast

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
        self._begun = self._until = -math.inf
        self._found: T | None = None

    def fresh(self) -> T:
        """As it is now."""
        asked = self._clock()
        with self._lock:
            if self._begun <= asked:
                self._renew()
            return cast(T, self._found)

    def recent(self) -> T:
        with self._lock:
            if self._until <= self._clock():
                self._renew()
            return cast(T, self._found)

    def _renew(self) -> None:
        begun = self._clock()
        self._found = self._look_up()
        ended = self._clock()
        self._begun, self._until = begun, ended + max(KEPT_SECONDS, (ended - begun) / MOST_OF_TIME)
