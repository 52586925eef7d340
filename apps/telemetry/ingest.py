"""The door of the sample stream: appends frames and readings to Redis, each frame once.

A frame is acknowledged only after this returned: what was added survives a crash of Redis (the embedded one
syncs each write to disk) and of the telemetry process, which reads it from there.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Literal, cast

import msgspec
from msgspec import UNSET, UnsetType

from apps.lib.redis import RedisUnavailable, connection, typed_errors
from apps.lib.script_link import ScriptLink
from apps.telemetry.domain.sample import Reading

__all__ = [
    "AgentNow",
    "Frame",
    "FrameAppender",
    "Reading",
    "Said",
    "StreamFull",
    "append_frames",
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
# One character a frame: an answer of many is one string, which costs its reader as much as a single one.
OUTCOMES: dict[int, Outcome] = {ord("+"): "added", ord("="): "duplicate", ord("!"): "full"}

# Per client the highest number seen, and one bit for each of the 32 numbers up to it: a frame that failed may
# come again after later ones went through, and must be told from one that was added.
# Many frames come in one call, as a call each costs the gateway more than all that Redis does for it.
# An entry is a frame (agent, group: its wave, role, host, origin: its repository, samples) or readings by a host (p);
# n is in TRIM. Readers take an entry without host and origin: older gateways added none.
ADD_FRAMES = f"""
local held = tonumber(redis.call('GET', KEYS[2]) or '0') - tonumber(redis.call('GET', KEYS[3]) or '0')
local entries = redis.call('XLEN', KEYS[1])

local function add(agent, client, seq, group, role, host, origin, body, words)
  local key = 'yard:seq:' .. agent .. ':' .. client
  seq = tonumber(seq)
  local seen = redis.call('GET', key)
  local top, bits = 0, 0
  if seen then
    top, bits = string.match(seen, '^(%d+) (%d+)$')
    top, bits = tonumber(top), tonumber(bits)
  end
  if seq <= top - 32 then return '=' end
  if seq <= top and bit.band(bits, bit.lshift(1, top - seq)) ~= 0 then return '=' end
  if #body > 0 then
    if held > {MAX_BYTES} or entries >= {MAX_ENTRIES} then return '!' end
    redis.call('XADD', KEYS[1], '*', 'a', agent, 'g', group, 'r', role, 'h', host, 'o', origin, 's', body,
      'n', redis.call('INCRBY', KEYS[2], #body))
    held, entries = held + #body, entries + 1
  end
  if seq > top then
    bits = seq - top < 32 and bit.lshift(bits, seq - top) or 0
    top = seq
  end
  bits = bit.bor(bits, bit.lshift(1, top - seq))
  redis.call('SET', key, string.format('%.0f %.0f', top, bits % 4294967296), 'EX', {SEEN_SECONDS})
  if #words > 0 then
    local said = cmsgpack.unpack(redis.call('HGET', KEYS[4], agent) or '\\128')
    for name, value in pairs(cmsgpack.unpack(words)) do said[name] = value end
    redis.call('HSET', KEYS[4], agent, cmsgpack.pack(said))
  end
  return '+'
end

local outcomes = {{}}
for first = 1, #ARGV, 9 do outcomes[#outcomes + 1] = add(unpack(ARGV, first, first + 8)) end
return table.concat(outcomes)
"""

ADD_READINGS = f"""
local held = tonumber(redis.call('GET', KEYS[2]) or '0') - tonumber(redis.call('GET', KEYS[3]) or '0')
if held > {MAX_BYTES} or redis.call('XLEN', KEYS[1]) >= {MAX_ENTRIES} then return 0 end
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


class Frame(msgspec.Struct, frozen=True, gc=False):
    """`body`: msgpack of the list of samples; empty bytes for a frame without any."""

    agent: int
    group: str
    role: str
    client: str
    seq: int
    body: bytes
    said: Said | None = None
    host: str = ""
    repository: str = ""


encode_body = msgspec.msgpack.Encoder().encode
decode_now = msgspec.msgpack.Decoder(AgentNow).decode


class FrameAppender:
    """Appends frames from an event loop, many in one call, over a connection of its own."""

    def __init__(self) -> None:
        self._link = ScriptLink(ADD_FRAMES, [STREAM, BYTES_IN, BYTES_OUT, NOW])

    def append(
        self, frames: Iterable[Frame], done: Callable[[list[Outcome] | RedisUnavailable], None]
    ) -> None:
        """`done` gets one outcome a frame, in their order; or RedisUnavailable: then any of them may have been
        added, and sending them again is safe. One call at a time."""

        def answered(answer: bytes | RedisUnavailable) -> None:
            done(answer if isinstance(answer, RedisUnavailable) else [OUTCOMES[found] for found in answer])

        self._link.call(chain.from_iterable(map(_arguments, frames)), answered)

    def close(self) -> None:
        self._link.close()


def append_frames(frames: Sequence[Frame]) -> list[Outcome]:
    """The same for who may wait: one outcome a frame. Raises RedisUnavailable; then any may have been added, and
    sending them again is safe."""
    if not frames:
        return []
    with typed_errors():
        script = connection().register_script(ADD_FRAMES)
        arguments: list[str | int | bytes] = list(chain.from_iterable(map(_arguments, frames)))
        answer = cast(bytes, script(keys=[STREAM, BYTES_IN, BYTES_OUT, NOW], args=arguments))
        return [OUTCOMES[found] for found in answer]


def append_readings(readings: Sequence[Reading]) -> None:
    """What a host read off its agents. Raises StreamFull and RedisUnavailable; a reading lost is no harm."""
    with typed_errors():
        client = connection()
        script = client.register_script(ADD_READINGS)
        for first in range(0, len(readings), READINGS_AT_ONCE):
            body = encode_body(readings[first : first + READINGS_AT_ONCE])
            if not script(keys=[STREAM, BYTES_IN, BYTES_OUT], args=[body]):
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


def _arguments(frame: Frame) -> tuple[int, str, int, str, str, str, str, bytes, bytes]:
    said = encode_body(frame.said) if frame.said else b""
    origin = frame.host, frame.repository
    return frame.agent, frame.client, frame.seq, frame.group, frame.role, *origin, frame.body, said
