"""From what a series stands at to what came on top, exactly once however often it is sent."""

from dataclasses import dataclass, field
from typing import Literal

import msgspec

from apps.gateway.otlp.spread import Spread, difference

Temporality = Literal["now", "delta", "cumulative"]

MAX_SERIES = 1_000  # of one sender
QUIET_SECONDS = 3_600.0  # a series that was silent for so long makes room for others
# What is recognised when it comes again: times of the deltas of a series, and exports of logs.
REMEMBERED, REMEMBERED_EXPORTS = 8, 64


@dataclass(frozen=True, slots=True)
class Reading:
    """A number, or values: how many, their sum (`amount`) and how they are spread. `is_estimate`: the sum was made up
    from the spread."""

    amount: float
    count: int = 0
    spread: Spread = field(default_factory=dict)
    is_estimate: bool = False


class Seen(msgspec.Struct, array_like=True):
    """What was last seen of a series. `at`: by our clock; `time` and `recent`: by the sender's, in nanoseconds."""

    at: float
    time: int
    amount: float = 0.0
    count: int = 0
    spread: Spread = {}
    recent: list[int] = []


class Memory(msgspec.Struct, array_like=True):
    """What must be known of a sender to tell what is new. Series by a digest of all that identifies them."""

    series: dict[bytes, Seen] = {}
    exports: list[bytes] = []

    def encoded(self) -> bytes:
        return _encode(self) if self.series or self.exports else b""

    def knows_export(self, digest: bytes) -> bool:
        """Whether it came before. Notes that it came."""
        if digest in self.exports:
            return True
        self.exports = [*self.exports, digest][-REMEMBERED_EXPORTS:]
        return False


class TooManySeries(Exception):
    def __init__(self) -> None:
        super().__init__(f"an agent may have {MAX_SERIES:,} series: use fewer different attributes")


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Memory).decode


def memory_of(stored: bytes) -> Memory:
    return _decode(stored) if stored else Memory()


def increase(
    memory: Memory, series: bytes, temporality: Temporality, time: int, reading: Reading, now: float
) -> Reading | None:
    """What this point adds; None for one that was counted before. Notes it in `memory`. Raises TooManySeries."""
    if temporality == "now":
        return reading
    seen = memory.series.get(series)
    if seen is None:
        _make_room(memory, now)
        seen = memory.series[series] = Seen(now, 0)
    seen.at = now
    return _delta(seen, time, reading) if temporality == "delta" else _since_last(seen, time, reading)


def _delta(seen: Seen, time: int, reading: Reading) -> Reading | None:
    """A delta that comes again has the very same time. Without a time nobody can tell."""
    if time and time in seen.recent:
        return None
    seen.recent = [*seen.recent, time][-REMEMBERED:]
    return reading


def _since_last(seen: Seen, time: int, reading: Reading) -> Reading | None:
    """A new start of the counting is another series, as its start time is part of what identifies it. So here only a
    total that fell shows that counting began anew."""
    if time < seen.time:
        return None  # it was overtaken by a later one, which held it all
    # An estimate may fall by itself, where buckets are joined.
    fell = reading.count < seen.count or (reading.amount < seen.amount and not reading.is_estimate)
    before = Seen(seen.at, 0) if fell else msgspec.structs.replace(seen)
    seen.time, seen.amount, seen.count, seen.spread = time, reading.amount, reading.count, reading.spread
    amount = max(0.0, reading.amount - before.amount)
    return Reading(amount, reading.count - before.count, difference(reading.spread, before.spread))


def _make_room(memory: Memory, now: float) -> None:
    if len(memory.series) < MAX_SERIES:
        return
    quiet = [name for name, seen in memory.series.items() if seen.at < now - QUIET_SECONDS]
    if not quiet:
        raise TooManySeries
    for name in quiet:
        del memory.series[name]
