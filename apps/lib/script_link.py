"""One script of Redis, called over and over from an event loop, at a tenth of what the client library takes for a call.

That goes through a pool, two tasks, a stream and a timer for each call. Here the library opens the connection, with all
that an address can say (sockets, TLS, passwords), and then its bytes are ours: a call is one write, and its answer one
callback.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import hiredis
import redis
import redis.asyncio

from apps.lib.redis import READ_SECONDS, RedisUnavailable, async_connection

Argument = bytes | str | int
Command = tuple[Argument, ...]
Done = Callable[[bytes | RedisUnavailable], None]


class ScriptLink(asyncio.Protocol):
    """Belongs to the event loop that calls it. One call at a time; the script answers with a string."""

    def __init__(self, script: str, keys: Sequence[str]) -> None:
        digest = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
        self._by_digest: Command = ("EVALSHA", digest, len(keys), *keys)
        self._by_text: Command = ("EVAL", script, len(keys), *keys)
        self._arguments: Command = ()
        self._done: Done | None = None
        self._due = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._opening: asyncio.Task[None] | None = None
        self._opened: redis.asyncio.Connection | None = None
        self._transport: asyncio.Transport | None = None
        self._reader = hiredis.Reader()

    def call(self, arguments: Iterable[Argument], done: Done) -> None:
        """`done` gets the answer, or RedisUnavailable: then the script may have run or not."""
        if self._done is not None:
            raise RuntimeError("one call at a time")
        words = tuple(arguments)
        packed = _packed(self._by_digest, words)  # what can't be packed raises before anything is under way
        self._arguments, self._done = words, done
        loop = asyncio.get_running_loop()
        self._due = loop.time() + READ_SECONDS
        if self._watch is None:
            self._watch = loop.call_later(READ_SECONDS, self._look)
        if self._transport is None:
            self._opening = loop.create_task(self._open(packed))
        else:
            self._transport.write(packed)

    def close(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._drop("closed")

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while (answer := self._reader.gets()) is not False:
                if not isinstance(answer, hiredis.PushNotification):
                    self._take(answer)
        except hiredis.ProtocolError as error:
            self._drop(error)

    def connection_lost(self, error: Exception | None) -> None:
        if self._transport is not None:  # else it was dropped, and another may be on its way
            self._drop(error or "it closed the connection")

    def _take(self, answer: Any) -> None:
        if not isinstance(answer, hiredis.ReplyError):
            self._finish(answer)
        elif str(answer).startswith("NOSCRIPT"):  # it began anew, or somebody flushed its scripts
            cast(asyncio.Transport, self._transport).write(_packed(self._by_text, self._arguments))
        else:
            self._finish(RedisUnavailable(redis.ResponseError(str(answer))))

    def _finish(self, answer: bytes | RedisUnavailable) -> None:
        done, self._done, self._arguments = self._done, None, ()
        if done is not None:
            done(answer)

    async def _open(self, packed: bytes) -> None:
        try:
            opened = cast(redis.asyncio.Connection, async_connection().connection_pool.make_connection())
            await opened.connect()
        except Exception as error:  # whatever it is, somebody waits for an answer
            self._opening = None
            self._finish(RedisUnavailable(error))
            return
        self._opening, self._opened = None, opened
        self._reader = hiredis.Reader()
        self._transport = cast(asyncio.Transport, opened._writer.transport)  # type: ignore[union-attr]
        self._transport.set_protocol(self)
        self._transport.write(packed)

    def _look(self) -> None:
        """Whether a call has waited for too long. One timer for many calls, as each would cost something."""
        self._watch = None
        if self._done is None:
            return
        left = self._due - asyncio.get_running_loop().time()
        if left <= 0:
            self._drop(f"no answer within {READ_SECONDS:g} s")
        else:
            self._watch = asyncio.get_running_loop().call_later(left, self._look)

    def _drop(self, why: object) -> None:
        """The connection, and the call that waits for an answer from it."""
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
        transport, self._transport = self._transport, None
        opened, self._opened = self._opened, None
        if opened is not None:
            opened._writer = opened._reader = None
        if transport is not None:
            transport.abort()
        self._finish(RedisUnavailable(why))


def _packed(command: Command, arguments: Command) -> bytes:
    return hiredis.pack_command(command + arguments)  # type: ignore[arg-type]
