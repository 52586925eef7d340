"""Reading the sample stream: entries in the order of arrival, and letting go of those that are counted."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
import redis

from apps.telemetry.domain.measures import Measure, Measures, measures_of
from apps.telemetry.domain.pending import EntryId
from apps.telemetry.domain.placing import Placing
from apps.telemetry.domain.sample import Reading, Sample
from apps.telemetry.domain.subjects import Labels
from apps.telemetry.domain.tally import Tally
from apps.telemetry.ingest import BYTES_IN, BYTES_OUT, STREAM

log = logging.getLogger(__name__)

ENTRIES_AT_ONCE = 1_000  # Redis serves nobody else while it hands them out
BYTES_TOGETHER = 4 * 1024 * 1024  # one sum of 40 frames costs less than four of ten

# Each entry carries, as `n`, the count of bytes at its addition: what is gone is read off the first one left.
TRIM = """
redis.call('XTRIM', KEYS[1], 'MINID', ARGV[1])
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
if not first then
  redis.call('SET', KEYS[3], redis.call('GET', KEYS[2]) or '0')
  return
end
local fields, gone = first[2], 0
for place = 1, #fields, 2 do
  if fields[place] == 'n' then gone = gone + tonumber(fields[place + 1]) end
  if fields[place] == 's' or fields[place] == 'p' or fields[place] == 'm' then gone = gone - #fields[place + 1] end
end
redis.call('SET', KEYS[3], string.format('%.0f', gone))
"""

decode_samples = msgspec.msgpack.Decoder(list[Sample]).decode
decode_measures = msgspec.msgpack.Decoder(list[Measure]).decode
decode_readings = msgspec.msgpack.Decoder(list[Reading]).decode


@dataclass(frozen=True, slots=True)
class Entry:
    """What an agent reported (`parts`: by the second in which it counts), or readings by a host, whose `agent` is 0.

    Frames of an agent that were read together and came within one second are one of these, with the id of the last
    one: adding up ten frames of 20 samples costs hardly more than adding up one."""

    id: EntryId
    agent: int
    labels: Labels
    parts: dict[int, Tally]
    readings: list[Reading]
    measures: Measures = field(default_factory=dict)

    @property
    def at(self) -> float:
        """Arrival, in unix seconds by Redis' clock."""
        return self.id[0] / 1000


def parse_id(text: str | bytes) -> EntryId:
    milliseconds, _, number = (text.decode() if isinstance(text, bytes) else text).partition("-")
    return int(milliseconds), int(number or 0)


def format_id(entry_id: EntryId) -> str:
    return f"{entry_id[0]}-{entry_id[1]}"


class Stream:
    """A place in the stream, and what to do there. Every method raises the Redis client's own errors."""

    def __init__(self, client: redis.Redis, position: EntryId = (0, 0)) -> None:
        self.client = client
        self.position = position
        self.taken = 0  # entries, ever

    def now(self) -> float:
        return _seconds(self.client.time())

    def take(self) -> tuple[float, list[Entry], bool]:
        """Redis' time, the next entries, and whether these are all from before that time."""
        gathered: dict[Any, Entry | _Frames] = {}
        size, caught_up = 0, False
        while not caught_up and size < BYTES_TOGETHER:
            now, raw = self._read()
            for entry_id, fields in raw:
                size += sum(map(len, fields.values()))
                _gather(gathered, parse_id(entry_id), fields)
            if raw:
                self.position = parse_id(raw[-1][0])
            self.taken += len(raw)
            caught_up = len(raw) < ENTRIES_AT_ONCE
        entries = [what.entry() if isinstance(what, _Frames) else what for what in gathered.values()]
        return now, entries, caught_up

    def _read(self) -> tuple[float, list[Any]]:
        with self.client.pipeline(transaction=True) as pipeline:
            pipeline.time()
            pipeline.xread({STREAM: format_id(self.position)}, count=ENTRIES_AT_ONCE)
            time, found = pipeline.execute()
        return _seconds(time), found[0][1] if found else []

    def first_and_last(self) -> tuple[EntryId, EntryId] | None:
        """None while nothing is in the stream."""
        first = cast(list[Any], self.client.xrange(STREAM, count=1))
        last = cast(list[Any], self.client.xrevrange(STREAM, count=1))
        return (parse_id(first[0][0]), parse_id(last[0][0])) if first and last else None

    def trim(self, *, counted: EntryId) -> None:
        """Lets go of what is counted, but for the last entry: by that a start knows that it is the same stream."""
        self.client.register_script(TRIM)(keys=[STREAM, BYTES_IN, BYTES_OUT], args=[format_id(counted)])

    def held_bytes(self) -> int:
        added, gone = cast(list[bytes | None], self.client.mget(BYTES_IN, BYTES_OUT))
        return int(added or 0) - int(gone or 0)


class _Frames:
    """Frames of one agent with the same labels that arrived within one second."""

    def __init__(self, agent: int, labels: Labels) -> None:
        self.id: EntryId = (0, 0)
        self.agent = agent
        self.labels = labels
        self.placing = Placing()

    def entry(self) -> Entry:
        return Entry(self.id, self.agent, self.labels, self.placing.tallies(), [])


def _gather(gathered: dict[Any, Entry | _Frames], entry_id: EntryId, fields: Mapping[bytes, bytes]) -> None:
    """Whatever it goes to is then the last one, so that all stay in the order of their ids."""
    try:
        if b"p" in fields:
            gathered[entry_id] = Entry(entry_id, 0, Labels(), {}, decode_readings(fields[b"p"]))
            return
        agent, labels = int(fields[b"a"]), _labels(fields)
        if b"m" in fields:
            measures = measures_of(decode_measures(fields[b"m"]))
            gathered[entry_id] = Entry(entry_id, agent, labels, {}, [], measures)
            return
        samples = decode_samples(fields[b"s"])
    except (KeyError, ValueError) as error:
        # The gateway adds nothing like it. Skipped, or one entry would hold up all that follow.
        log.error("entry %s of the sample stream can't be read and isn't counted: %s", entry_id, error)  # noqa: TRY400
        return
    key = agent, labels, entry_id[0] // 1000
    frames = cast(_Frames | None, gathered.pop(key, None)) or _Frames(agent, labels)
    frames.id = entry_id
    frames.placing.add(samples, entry_id[0] / 1000)
    gathered[key] = frames


def _labels(fields: Mapping[bytes, bytes]) -> Labels:
    """An older gateway adds neither host nor repository."""
    host, repository = fields.get(b"h", b""), fields.get(b"o", b"")
    return Labels(fields[b"g"].decode(), fields[b"r"].decode(), host.decode(), repository.decode())


def _seconds(time: tuple[int, int]) -> float:
    return time[0] + time[1] / 1_000_000
