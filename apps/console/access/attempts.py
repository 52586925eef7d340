"""Slowing down whoever guesses passwords: failures per address and name, kept in this process."""

from collections import OrderedDict
from collections.abc import Hashable
from datetime import datetime, timedelta

LIMIT = 10
SPAN = timedelta(minutes=5)
MAX_KEYS = 10_000


class Attempts:
    """Failures of the last minutes by key. There is one web process, and a restart forgives: good enough for a door
    that opens on loopback unless an operator decides otherwise."""

    def __init__(self) -> None:
        self._failures: OrderedDict[Hashable, list[datetime]] = OrderedDict()

    def is_blocked(self, key: Hashable, now: datetime) -> bool:
        return len(self._recent(key, now)) >= LIMIT

    def failed(self, key: Hashable, now: datetime) -> None:
        self._failures[key] = [*self._recent(key, now), now][-LIMIT:]
        self._failures.move_to_end(key)
        while len(self._failures) > MAX_KEYS:
            self._failures.popitem(last=False)

    def succeeded(self, key: Hashable) -> None:
        self._failures.pop(key, None)

    def _recent(self, key: Hashable, now: datetime) -> list[datetime]:
        return [at for at in self._failures.get(key, []) if now - at < SPAN]
