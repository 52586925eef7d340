"""The door of the sample stream: appends frames and readings to Redis, each frame once.

A frame is acknowledged only after this returned: what was added survives a crash of Redis (the embedded one
syncs each write to disk) and of the telemetry process, which reads it from there.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import msgspec
import redis
import redis.asyncio
from msgspec import UNSET, UnsetType
from redis.exceptions import NoScriptError

from apps.lib.redis import connection, typed_errors
from apps.telemetry.domain.sample import Reading

__all__ = [
    "AgentNow",
    "Frame",
    "FrameAppender",
    "Reading",
    "Said",
    "StreamFull",
    "append_readings",
    "forget",
    "forget_silent",
    "read_now",
]

STREAM = "yard:samples"
NOW = "yard:now"
# Bytes ever added, and bytes ever let go of by trimming: the difference is what the stream holds.
BYTES_IN, BYTES_OUT = "yard:samples:in", "yard:samples:out"

# Above either, nothing is added until the telemetry process has caught up; senders keep what they have.
MAX_ENTRIES = 2_000_000
MAX_BYTES = 256 * 1024 * 1024
SEEN_SECONDS = 24 * 3600
READINGS_AT_ONCE = 200

Outcome = Literal["added", "duplicate", "full"]
OUTCOMES: dict[int, Outcome] = {1: "added", 0: "duplicate", -1: "full"}

IS_FULL = f"""
local held = tonumber(redis.call('GET', KEYS[2]) or '0') - tonumber(redis.call('GET', KEYS[3]) or '0')
local full = held > {MAX_BYTES} or redis.call('XLEN', KEYS[1]) >= {MAX_ENTRIES}
"""

# Per client the highest number seen, and one bit for each of the 32 numbers up to it: a frame that failed may
# come again after later ones went through, and must be told from one that was added.
ADD_FRAME = f"""
local seq = tonumber(ARGV[1])
local seen = redis.call('GET', KEYS[4])
local top, bits = 0, 0
if seen then
  top, bits = string.match(seen, '^(%d+) (%d+)$')
  top, bits = tonumber(top), tonumber(bits)
end
if seq <= top - 32 then return 0 end
if seq <= top and bit.band(bits, bit.lshift(1, top - seq)) ~= 0 then return 0 end
if #ARGV[5] > 0 then
  {IS_FULL}
  if full then return -1 end
  redis.call('XADD', KEYS[1], '*', 'a', ARGV[2], 'g', ARGV[3], 'r', ARGV[4], 's', ARGV[5],
    'n', redis.call('INCRBY', KEYS[2], #ARGV[5]))
end
if seq > top then
  bits = seq - top < 32 and bit.lshift(bits, seq - top) or 0
  top = seq
end
bits = bit.bor(bits, bit.lshift(1, top - seq))
redis.call('SET', KEYS[4], string.format('%.0f %.0f', top, bits % 4294967296), 'EX', {SEEN_SECONDS})
if #ARGV[6] > 0 then
  local said = cmsgpack.unpack(redis.call('HGET', KEYS[5], ARGV[2]) or '\\128')
  for key, value in pairs(cmsgpack.unpack(ARGV[6])) do said[key] = value end
  redis.call('HSET', KEYS[5], ARGV[2], cmsgpack.pack(said))
end
return 1
"""

ADD_READINGS = f"""
{IS_FULL}
if full then return -1 end
redis.call('XADD', KEYS[1], '*', 'p', ARGV[1], 'n', redis.call('INCRBY', KEYS[2], #ARGV[1]))
return 1
"""


class StreamFull(Exception):
    """The telemetry process is down or far behind, and the stream holds what it may. Nothing was added."""

    def __init__(self) -> None:
        super().__init__(
            "The sample stream is full, as nothing has read it for a while. "
            "Start the telemetry process (`manage.py runtelemetry`); senders keep their samples until then."
        )


class AgentNow(msgspec.Struct):
    """What an agent last said it is doing, and when."""

    now: str = ""
    state: str = ""
    at: float = 0.0


class Said(msgspec.Struct):
    """What a frame says of it. What is left unset stays as it was."""

    at: float
    now: str | UnsetType = UNSET
    state: str | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class Frame:
    """`body`: msgpack of the list of samples; empty bytes for a frame without any."""

    agent: int
    group: str
    role: str
    client: str
    seq: int
    body: bytes
    said: Said | None = None


encode_body = msgspec.msgpack.Encoder().encode
decode_now = msgspec.msgpack.Decoder(AgentNow).decode


class FrameAppender:
    """Appends frames from an event loop, many in one round trip."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self.client = client
        self.script = client.register_script(ADD_FRAME)

    async def append(self, frames: Sequence[Frame]) -> list[Outcome]:
        """One outcome a frame, in their order. Raises RedisUnavailable: then any of them may have been added,
        and sending them again is safe."""
        with typed_errors():
            try:
                return await self._append(frames)
            except NoScriptError:  # a fresh Redis; what it did add is told from the rest, so all may go again
                await self.client.script_load(ADD_FRAME)
                return await self._append(frames)

    async def _append(self, frames: Sequence[Frame]) -> list[Outcome]:
        async with self.client.pipeline(transaction=False) as pipeline:
            for frame in frames:
                pipeline.evalsha(self.script.sha, 5, *_keys(frame), *_arguments(frame))
            return [OUTCOMES[found] for found in await pipeline.execute()]


def append_readings(readings: Sequence[Reading]) -> None:
    """What a host read off its agents. Raises StreamFull and RedisUnavailable; a reading lost is no harm."""
    with typed_errors():
        client = connection()
        script = client.register_script(ADD_READINGS)
        for first in range(0, len(readings), READINGS_AT_ONCE):
            body = encode_body(readings[first : first + READINGS_AT_ONCE])
            if OUTCOMES[cast(int, script(keys=[STREAM, BYTES_IN, BYTES_OUT], args=[body]))] == "full":
                raise StreamFull


def read_now(agents: Iterable[int]) -> dict[int, AgentNow]:
    """What these agents last said; those that never said anything are missing. Raises RedisUnavailable."""
    wanted = list(agents)
    if not wanted:
        return {}
    with typed_errors():
        found = cast(list[bytes | None], connection().hmget(NOW, [str(pk) for pk in wanted]))
    return {pk: decode_now(said) for pk, said in zip(wanted, found, strict=True) if said}


def forget(agent: int) -> None:
    """Drops what an agent said it is doing, when it has ended. Raises RedisUnavailable."""
    with typed_errors():
        connection().hdel(NOW, str(agent))


def forget_silent(*, before: float) -> int:
    """Drops what was said before then: a last frame may arrive after `forget`. Says how many. Raises
    RedisUnavailable."""
    with typed_errors():
        said = cast(dict[bytes, bytes], connection().hgetall(NOW))
        old = [agent for agent, words in said.items() if decode_now(words).at < before]
        return connection().hdel(NOW, *old) if old else 0


def _keys(frame: Frame) -> list[str]:
    return [STREAM, BYTES_IN, BYTES_OUT, f"yard:seq:{frame.agent}:{frame.client}", NOW]


def _arguments(frame: Frame) -> list[Any]:
    said = encode_body(frame.said) if frame.said else b""
    return [frame.seq, frame.agent, frame.group, frame.role, frame.body, said]
