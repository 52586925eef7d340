"""The door of measures: appends them to the sample stream together with what must be remembered of their sender.

Who sends running totals must be compared with the last ones, and who sends again must be recognised. So what was last
seen is stored in the same step that adds to the stream: both happen or neither.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import redis.asyncio

from apps.lib.redis import async_connection, typed_errors
from apps.telemetry.domain.measures import Measure
from apps.telemetry.ingest import BYTES_IN, BYTES_OUT, MAX_BYTES, MAX_ENTRIES, STREAM, encode_body

MEMORY_SECONDS = 24 * 3600

Outcome = Literal["added", "moved", "full"]
OUTCOMES: dict[int, Outcome] = {1: "added", -1: "full", -2: "moved"}

ADD_MEASURES = f"""
if redis.sha1hex(redis.call('GET', KEYS[4]) or '') ~= ARGV[1] then return -2 end
if #ARGV[5] > 0 then
  local held = tonumber(redis.call('GET', KEYS[2]) or '0') - tonumber(redis.call('GET', KEYS[3]) or '0')
  if held > {MAX_BYTES} or redis.call('XLEN', KEYS[1]) >= {MAX_ENTRIES} then return -1 end
  redis.call('XADD', KEYS[1], '*', 'a', ARGV[2], 'g', ARGV[3], 'r', ARGV[4], 'm', ARGV[5],
    'n', redis.call('INCRBY', KEYS[2], #ARGV[5]))
end
redis.call('SET', KEYS[4], ARGV[6], 'EX', {MEMORY_SECONDS})
return 1
"""


@dataclass(frozen=True, slots=True)
class Batch:
    """Measures of one agent, and what to remember of its sender from then on, in place of `before`."""

    agent: int
    group: str
    role: str
    measures: Sequence[Measure]
    sender: str
    before: bytes
    after: bytes


class MeasureAppender:
    """Belongs to the event loop that first uses it."""

    def __init__(self) -> None:
        self._client: redis.asyncio.Redis | None = None

    async def remembered(self, agent: int, sender: str) -> bytes:
        """What `append` last stored; empty bytes for a new sender. Raises RedisUnavailable."""
        with typed_errors():
            return cast(bytes | None, await self._redis().get(_key(agent, sender))) or b""

    async def append(self, batch: Batch) -> Outcome:
        """ "moved": another request of this sender was faster, and this one must be worked out again. Raises
        RedisUnavailable: then it may have been added, and working it out again is safe."""
        body = encode_body(batch.measures) if batch.measures else b""
        with typed_errors():
            client = self._redis()
            found = await client.register_script(ADD_MEASURES)(
                keys=[STREAM, BYTES_IN, BYTES_OUT, _key(batch.agent, batch.sender)],
                args=[_digest(batch.before), batch.agent, batch.group, batch.role, body, batch.after],
            )
        return OUTCOMES[found]

    def _redis(self) -> redis.asyncio.Redis:
        if self._client is None:
            self._client = async_connection()
        return self._client


def _key(agent: int, sender: str) -> str:
    return f"yard:measured:{agent}:{sender}"


def _digest(remembered: bytes) -> str:
    return hashlib.sha1(remembered, usedforsecurity=False).hexdigest()
