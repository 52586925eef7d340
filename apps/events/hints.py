"""Hints between processes: "this row changed, look again". Best effort: whoever listens polls as well."""

import asyncio
import functools
import logging
import time
from collections.abc import AsyncIterator, Collection
from typing import Any

import redis
from django.db import transaction

from apps.lib import hints
from apps.lib.hints import Hint
from apps.lib.redis import async_connection, connection

__all__ = ["Hint", "HintListener", "hint_batches", "publish", "publish_on_commit"]

log = logging.getLogger(__name__)

PUBLISH_SECONDS = 0.4
AWAY_SECONDS = 5.0  # without hints after one that hung
RECONNECT_SECONDS = 0.5
DRAINED_AT_ONCE = 10_000

_away_until = 0.0  # on the monotonic clock


def publish(topic: str, pk: int) -> None:
    """Never raises for want of Redis, and takes at most about a second when Redis hangs.

    After a hang it isn't tried again for a moment: a wave of thousands has thousands of hints.
    """
    global _away_until
    if time.monotonic() < _away_until:
        return
    try:
        hints.send(connection(read_timeout=PUBLISH_SECONDS, connect_timeout=PUBLISH_SECONDS), topic, pk)
    except (redis.RedisError, OSError) as error:
        if isinstance(error, redis.TimeoutError):
            _away_until = time.monotonic() + AWAY_SECONDS
        log.debug("hint %s %s not sent: %s", topic, pk, error)


def publish_on_commit(topic: str, pk: int) -> None:
    transaction.on_commit(functools.partial(publish, topic, pk))


class HintListener:
    """Lets a loop sleep until a hint on one of its topics, or a timeout; whichever is first.

    With Redis away it only ever times out, and it subscribes again by itself once Redis is back.
    """

    def __init__(self, topics: Collection[str]) -> None:
        self.topics = frozenset(topics)
        self._pubsub: Any = None

    def wait(self, timeout: float) -> set[Hint]:
        """All hints that are pending, each once; empty after `timeout` seconds without one."""
        deadline = time.monotonic() + timeout
        while True:
            found = self._receive(max(0.0, deadline - time.monotonic()))
            if found or time.monotonic() >= deadline:
                return found

    def close(self) -> None:
        pubsub, self._pubsub = self._pubsub, None
        if pubsub is not None:
            pubsub.close()

    def _receive(self, timeout: float) -> set[Hint]:
        try:
            return self._drain(timeout)
        except (redis.RedisError, OSError) as error:
            log.debug("hints: no connection: %s", error)
            self.close()
            time.sleep(min(timeout, RECONNECT_SECONDS))
            return set()

    def _drain(self, timeout: float) -> set[Hint]:
        if self._pubsub is None:
            self._pubsub = connection().pubsub()
            self._pubsub.subscribe(hints.CHANNEL)
        found: set[Hint] = set()
        message = self._pubsub.get_message(timeout=timeout)
        for _ in range(DRAINED_AT_ONCE):
            if message is None:
                break
            found |= _wanted(message, self.topics)
            message = self._pubsub.get_message(timeout=0)
        return found


async def hint_batches(topics: Collection[str]) -> AsyncIterator[set[Hint]]:
    """Every batch of pending hints, each hint once, for ever. An empty batch: the connection was lost and is
    back, so hints may have been missed and everything wants a fresh look."""
    wanted = frozenset(topics)
    subscriptions = 0
    while True:
        client = async_connection()
        try:
            async with client.pubsub() as pubsub:
                await pubsub.subscribe(hints.CHANNEL)
                while True:
                    messages = await _pending(pubsub)
                    # The client may also reconnect by itself; every connection starts with this message.
                    subscribed = sum(message["type"] == "subscribe" for message in messages)
                    batch = set[Hint]().union(*(_wanted(message, wanted) for message in messages))
                    if batch or (subscribed and subscriptions):
                        yield batch
                    subscriptions += subscribed
        except (redis.RedisError, OSError) as error:
            log.debug("hints: no connection: %s", error)
            await asyncio.sleep(RECONNECT_SECONDS)
        finally:
            await client.aclose()


async def _pending(pubsub: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    message = await pubsub.get_message(timeout=1.0)
    while message is not None and len(found) < DRAINED_AT_ONCE:
        found.append(message)
        message = await pubsub.get_message(timeout=0)
    return found


def _wanted(message: dict[str, Any], topics: frozenset[str]) -> set[Hint]:
    if message["type"] != "message":
        return set()
    hint = hints.parse(message["data"])
    return {hint} if hint is not None and hint.topic in topics else set()
