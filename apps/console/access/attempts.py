"""Slowing down whoever guesses passwords: failures per address and name, and per address, kept in this process."""

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

LIMIT = 10
ADDRESS_LIMIT = 50  # whatever names were tried; several people may share an address
SPAN = timedelta(minutes=5)
MAX_KEYS = 10_000


def address_of(meta: Mapping[str, Any]) -> str:
    """Whose attempt it is. Behind a TLS proxy, the last address that was forwarded: the one that the proxy wrote."""
    forwarded = str(meta.get("HTTP_X_FORWARDED_FOR", "")).rpartition(",")[2].strip()
    return (settings.BEHIND_TLS and forwarded[:45]) or str(meta.get("REMOTE_ADDR") or "")


class Attempts:
    """Failures of the last minutes by key. There is one web process, and a restart forgives: good enough for a door
    that opens on loopback unless an operator decides otherwise."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._failures: OrderedDict[Hashable, list[datetime]] = OrderedDict()

    def is_blocked(self, key: Hashable, now: datetime) -> bool:
        return len(self._recent(key, now)) >= self.limit

    def failed(self, key: Hashable, now: datetime) -> None:
        self._failures[key] = [*self._recent(key, now), now][-self.limit :]
        self._failures.move_to_end(key)
        while len(self._failures) > MAX_KEYS:
            self._failures.popitem(last=False)

    def succeeded(self, key: Hashable) -> None:
        self._failures.pop(key, None)

    def _recent(self, key: Hashable, now: datetime) -> list[datetime]:
        return [at for at in self._failures.get(key, []) if now - at < SPAN]
