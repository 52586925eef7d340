"""Slowing down whoever guesses passwords: attempts per address and name, and per address, counted in Redis for every
web process; in this process alone while Redis is away."""

import hashlib
import logging
import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from apps.lib.redis import RedisUnavailable, connection, typed_errors

log = logging.getLogger(__name__)

LIMIT = 10
ADDRESS_LIMIT = 50  # whatever names were tried; several people may share an address
SPAN = timedelta(minutes=5)
MAX_KEYS = 10_000
REDIS_SECONDS = 1.0  # a person waits

# Counts an attempt unless there are too many: in one step, so that many at the same moment don't slip through.
# KEYS: attempts of this key by time, all keys by their last time. ARGV: now, span, limit, most keys, name of this one.
TAKE = """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1] - ARGV[2])
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[5])
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[1], KEYS[1])
redis.call('EXPIRE', KEYS[2], ARGV[2])
local surplus = redis.call('ZCARD', KEYS[2]) - ARGV[4]
if surplus > 0 then
  local oldest = redis.call('ZPOPMIN', KEYS[2], surplus)
  for i = 1, #oldest, 2 do redis.call('DEL', oldest[i]) end
end
return 1
"""

# KEYS as above. ARGV: name of the attempt.
GIVE_BACK = """
redis.call('ZREM', KEYS[1], ARGV[1])
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('ZREM', KEYS[2], KEYS[1]) end
"""

FORGET = """
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], KEYS[1])
"""


def address_of(meta: Mapping[str, Any]) -> str:
    """Whose attempt it is. Behind a TLS proxy, the last address that was forwarded: the one that the proxy wrote."""
    forwarded = str(meta.get("HTTP_X_FORWARDED_FOR", "")).rpartition(",")[2].strip()
    return (settings.BEHIND_TLS and forwarded[:45]) or str(meta.get("REMOTE_ADDR") or "")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One that was counted: in Redis under `name`, or in this process's memory where that is empty."""

    key: str
    name: str = ""


class Brake:
    """At most `limit` attempts that failed in a span of time, by key. An attempt counts from its begin."""

    def __init__(self, name: str, limit: int) -> None:
        self.name, self.limit = name, limit
        self.local = Attempts(limit)

    def take(self, key: str, now: datetime) -> Attempt | None:
        """Count an attempt; None when there were too many already."""
        name = secrets.token_hex(8)
        try:
            taken = self._run(TAKE, key, now.timestamp(), SPAN.seconds, self.limit, MAX_KEYS, name)
            return Attempt(key, name) if taken else None
        except RedisUnavailable as error:
            log.warning("failed sign-ins are counted by this process alone: %s", error)
            return Attempt(key) if self.local.take(key, now) else None

    def give_back(self, attempt: Attempt) -> None:
        """It was none that failed."""
        if attempt.name:
            self._try(GIVE_BACK, attempt.key, attempt.name)
        else:
            self.local.give_back(attempt.key)

    def forget(self, key: str) -> None:
        """What failed before it succeeded."""
        self.local.forget(key)
        self._try(FORGET, key)

    def _try(self, script: str, key: str, *values: str) -> None:
        try:
            self._run(script, key, *values)
        except RedisUnavailable as error:
            log.warning("a sign-in isn't noted in Redis: %s", error)

    def _run(self, script: str, key: str, *values: float | str) -> Any:
        redis: Any = connection(read_timeout=REDIS_SECONDS, connect_timeout=REDIS_SECONDS)
        keys = (self._key(key), self._prefix + "keys")
        with typed_errors():
            return redis.eval(script, len(keys), *keys, *values)

    @property
    def _prefix(self) -> str:
        return f"yard:sign-in:{self.name}:"

    def _key(self, key: str) -> str:
        # People give what they like for a name; a password that slipped into it isn't kept readable.
        return self._prefix + hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


class Attempts:
    """The same in this process's memory."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._taken: OrderedDict[str, list[datetime]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: str, now: datetime) -> bool:
        with self._lock:
            recent = [at for at in self._taken.get(key, []) if now - at < SPAN]
            if len(recent) >= self.limit:
                return False
            self._taken[key] = [*recent, now]
            self._taken.move_to_end(key)
            while len(self._taken) > MAX_KEYS:
                self._taken.popitem(last=False)
            return True

    def give_back(self, key: str) -> None:
        with self._lock:
            del self._taken.get(key, [])[-1:]

    def forget(self, key: str) -> None:
        with self._lock:
            self._taken.pop(key, None)
