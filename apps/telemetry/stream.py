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
from apps.telemetry.exceptions import ClockWentBack
from apps.telemetry.ingest import BYTES_IN, BYTES_OUT, STREAM

log = logging.getLogger(__name__)

ENTRIES_AT_ONCE = 1_000  # Redis serves nobody else while it hands them out
BYTES_TOGETHER = 4 * 1024 * 1024  # one sum of 40 frames costs less than four of ten
BACK_SECONDS = 5.0  # by which Redis' clock may be put back while figures merely wait for it

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
    at: float  # arrival, in unix seconds by Redis' clock; where its id is ahead of that, at the earliest
    agent: int
    labels: Labels
    parts: dict[int, Tally]
    readings: list[Reading]
    measures: Measures = field(default_factory=dict)


def parse_id(text: str | bytes) -> EntryId:
    milliseconds, _, number = (text.decode() if isinstance(text, bytes) else text).partition("-")
    return int(milliseconds), int(number or 0)


def format_id(entry_id: EntryId) -> str:
    return f"{entry_id[0]}-{entry_id[1]}"


class Stream:
    """A place in the stream, and what to do there. Every method raises the Redis client's own errors.

    Ids never go back: while Redis' clock is behind the newest one, because it was ahead and was put back, they stand
    still and say nothing of arrival. Such an entry counts as having arrived when last nothing more was to be read, and
    its samples are placed by the time at which it is read."""

    def __init__(self, client: redis.Redis, position: EntryId = (0, 0)) -> None:
        self.client = client
        self.taken = 0  # entries, ever
        self.begin(position, earliest=0.0)

    def begin(self, position: EntryId, *, earliest: float) -> None:
        """Goes on after `position`. `earliest`: what follows with an id ahead of the clock arrived then or later."""
        self.position = position
        self.at = 0.0  # arrival of the last entry taken; never goes back
        self._earliest = earliest
        self._newest = 0.0  # by Redis' clock

    def now(self) -> float:
        return _seconds(self.client.time())

    def take(self) -> tuple[float, list[Entry], bool]:
        """Redis' time, the next entries, and whether these are all from before that time. Raises ClockWentBack: then
        what was taken since `begin` and isn't written yet is to be taken again."""
        gathered: dict[Any, Entry | _Frames] = {}
        size, caught_up = 0, False
        while not caught_up and size < BYTES_TOGETHER:
            now, raw = self._read()
            for raw_id, fields in raw:
                size += sum(map(len, fields.values()))
                entry_id = parse_id(raw_id)
                _gather(gathered, entry_id, self._arrival(entry_id, now), now, fields)
            if raw:
                self.position = parse_id(raw[-1][0])
            self.taken += len(raw)
            caught_up = len(raw) < ENTRIES_AT_ONCE
        if caught_up:
            self._earliest = now
        entries = [what.entry() if isinstance(what, _Frames) else what for what in gathered.values()]
        return now, entries, caught_up

    def _read(self) -> tuple[float, list[Any]]:
        with self.client.pipeline(transaction=True) as pipeline:
            pipeline.time()
            pipeline.xread({STREAM: format_id(self.position)}, count=ENTRIES_AT_ONCE)
            time, found = pipeline.execute()
        now = _seconds(time)
        if now < self._newest - BACK_SECONDS:
            raise ClockWentBack(self._newest - now)
        self._newest = max(self._newest, now)
        return now, found[0][1] if found else []

    def _arrival(self, entry_id: EntryId, now: float) -> float:
        said = entry_id[0] / 1000
        self.at = max(self.at, said if said <= now else self._earliest)
        return self.at

    def first_and_last(self) -> tuple[EntryId, EntryId] | None:
        """None while nothing is in the stream."""
        first = cast(list[Any], self.client.xrange(STREAM, count=1))
        last = cast(list[Any], self.client.xrevrange(STREAM, count=1))
        return (parse_id(first[0][0]), parse_id(last[0][0])) if first and last else None

    def trim(self, *, counted: EntryId) -> None:
        """Lets go of what is counted, but for the last entry: by that a start knows that it is the same stream."""
        self.client.register_script(TRIM)(keys=[STREAM, BYTES_IN, BYTES_OUT], args=[format_id(counted)])


class _Frames:
    """Frames of one agent with the same labels that arrived within one second."""

    def __init__(self, agent: int, labels: Labels) -> None:
        self.id: EntryId = (0, 0)
        self.at = 0.0
        self.agent = agent
        self.labels = labels
        self.placing = Placing()

    def entry(self) -> Entry:
        return Entry(self.id, self.at, self.agent, self.labels, self.placing.tallies(), [])


def _gather(
    gathered: dict[Any, Entry | _Frames],
    entry_id: EntryId,
    at: float,
    now: float,
    fields: Mapping[bytes, bytes],
) -> None:
    """Whatever it goes to is then the last one, so that all stay in the order of their ids."""
    try:
        if b"p" in fields:
            gathered[entry_id] = Entry(entry_id, at, 0, Labels(), {}, decode_readings(fields[b"p"]))
            return
        agent, labels = int(fields[b"a"]), _labels(fields)
        if b"m" in fields:
            measures = measures_of(decode_measures(fields[b"m"]))
            gathered[entry_id] = Entry(entry_id, at, agent, labels, {}, [], measures)
            return
        samples = decode_samples(fields[b"s"])
    except (KeyError, ValueError) as error:
        # The gateway adds nothing like it. Skipped, or one entry would hold up all that follow.
        log.error("entry %s of the sample stream can't be read and isn't counted: %s", entry_id, error)  # noqa: TRY400
        return
    placed_at = min(entry_id[0] / 1000, now)
    key = agent, labels, int(at), int(placed_at)
    frames = cast(_Frames | None, gathered.pop(key, None)) or _Frames(agent, labels)
    frames.id, frames.at = entry_id, at
    frames.placing.add(samples, placed_at)
    gathered[key] = frames


def _labels(fields: Mapping[bytes, bytes]) -> Labels:
    """An older gateway adds neither host nor repository."""
    host, repository = fields.get(b"h", b""), fields.get(b"o", b"")
    return Labels(fields[b"g"].decode(), fields[b"r"].decode(), host.decode(), repository.decode())


def _seconds(time: tuple[int, int]) -> float:
    return time[0] + time[1] / 1_000_000
