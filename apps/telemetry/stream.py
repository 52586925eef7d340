"""Reading the sample stream: entries in the order of arrival, and letting go of those that are counted."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
import redis

from apps.telemetry.domain.measures import Measure, Measures, measures_of
from apps.telemetry.domain.pending import EntryId
from apps.telemetry.domain.placing import placed
from apps.telemetry.domain.sample import Reading, Sample
from apps.telemetry.domain.subjects import Labels
from apps.telemetry.domain.tally import Tally
from apps.telemetry.ingest import BYTES_IN, BYTES_OUT, STREAM

log = logging.getLogger(__name__)

ENTRIES_AT_ONCE = 1_000

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
    """One frame of an agent (`parts`: what it reported, by the second in which it counts), or readings by a host, whose
    `agent` is 0."""

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

    def now(self) -> float:
        return _seconds(self.client.time())

    def wait(self, seconds: float) -> list[Entry]:
        """The next entries; waits up to this long for the first. The connection must allow for the wait."""
        milliseconds = max(1, int(seconds * 1000))
        return self._taken(self.client.xread(self._place(), count=ENTRIES_AT_ONCE, block=milliseconds))

    def take(self) -> tuple[float, list[Entry], bool]:
        """Redis' time, the next entries without waiting, and whether these are all from before that time."""
        with self.client.pipeline(transaction=True) as pipeline:
            pipeline.time()
            pipeline.xread(self._place(), count=ENTRIES_AT_ONCE)
            time, found = pipeline.execute()
        raw = sum(len(entries) for _, entries in found or [])
        return _seconds(time), self._taken(found), raw < ENTRIES_AT_ONCE

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

    def _place(self) -> dict[Any, Any]:
        return {STREAM: format_id(self.position)}

    def _taken(self, found: Any) -> list[Entry]:
        entries = []
        for _, raw in found or []:
            for entry_id, fields in raw:
                entry = _decode(parse_id(entry_id), fields)
                if entry is not None:
                    entries.append(entry)
            self.position = parse_id(raw[-1][0])
        return entries


def _decode(entry_id: EntryId, fields: Mapping[bytes, bytes]) -> Entry | None:
    try:
        if b"p" in fields:
            return Entry(entry_id, 0, Labels(), {}, decode_readings(fields[b"p"]))
        if b"m" in fields:
            measures = measures_of(decode_measures(fields[b"m"]))
            return Entry(entry_id, int(fields[b"a"]), _labels(fields), {}, [], measures)
        parts = placed(decode_samples(fields[b"s"]), entry_id[0] / 1000)
        return Entry(entry_id, int(fields[b"a"]), _labels(fields), parts, [])
    except (KeyError, ValueError) as error:
        # The gateway adds nothing like it. Skipped, or one entry would hold up all that follow.
        log.error("entry %s of the sample stream can't be read and isn't counted: %s", entry_id, error)  # noqa: TRY400
        return None


def _labels(fields: Mapping[bytes, bytes]) -> Labels:
    """An older gateway adds neither host nor repository."""
    host, repository = fields.get(b"h", b""), fields.get(b"o", b"")
    return Labels(fields[b"g"].decode(), fields[b"r"].decode(), host.decode(), repository.decode())


def _seconds(time: tuple[int, int]) -> float:
    return time[0] + time[1] / 1_000_000
