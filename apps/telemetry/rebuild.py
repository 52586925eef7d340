"""What the telemetry process knew before its restart: from the stream where it reaches, else rollups."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from apps.telemetry.domain.live import Kept, Live
from apps.telemetry.domain.pending import EntryId
from apps.telemetry.domain.series import LENGTHS, SECOND, SPAN, TEN, ceil_to, floor_to
from apps.telemetry.domain.sketch import Sketch
from apps.telemetry.domain.tally import Tally
from apps.telemetry.models import FIVE_MINUTES, TEN_SECONDS, Rollup, RollupWait

START: EntryId = (0, 0)


@dataclass(frozen=True, slots=True)
class Restart:
    """Rollups give what arrived before the second `until`; the stream the rest, read after `position`."""

    until: int
    position: EntryId


def restart(*, now: float, counted: EntryId, ends: tuple[EntryId, EntryId] | None) -> Restart:
    """`counted`: last entry that is in the rollups. `ends`: first and last entry that the stream has."""
    if counted == START:
        return Restart(0, START)
    counted_at = counted[0] / 1000
    if ends is not None and ends[1] < counted and now < counted_at:
        # Redis began anew with a clock that was put back: another stream than the one that was counted. Were it
        # only short of its end (a crash without fsync), its clock would be past the checkpoint.
        return Restart(floor_to(now, TEN) + TEN, START)
    if ends is None or ends[0] > counted:
        return Restart(floor_to(counted_at, TEN) + TEN, counted)
    by_second = max(floor_to(now - LENGTHS[SECOND], TEN), ceil_to(ends[0][0] / 1000, TEN))
    # The ten seconds of the last counted entry may be in the rollups in part: the stream has all of them.
    until = min(floor_to(counted_at, TEN), by_second)
    return Restart(until, (until * 1000 - 1, 2**64 - 1))


def restored(*, now: float, until: int) -> Live:
    """A Live with what arrived in the last day and before the second `until`, a multiple of ten."""
    live = Live()
    border = floor_to(until, SPAN)
    for start, kept in _stretches(FIVE_MINUTES, floor_to(now, SPAN) - SPAN * LENGTHS[SPAN], border):
        live.restore(step=SPAN, start=start, kept=kept)
    tens = _stretches(TEN_SECONDS, floor_to(now, TEN) - TEN * LENGTHS[TEN], until)
    for place, (start, kept) in enumerate(tens):
        if place == 0 and live.since is not None and live.since > start - SPAN:
            live.since = float(start)  # closer to the truth than the start of the five minutes
        live.restore(step=TEN, start=start, kept=kept, fold=start >= border)
    return live


def _stretches(resolution: int, start: int, end: int) -> Iterator[tuple[int, list[Kept]]]:
    """What all agents did, stretch by stretch."""
    waits = _waits(resolution, start, end)
    rows = Rollup.objects.between(resolution, start, end).iterator(chunk_size=2_000)
    for at, together in groupby(rows, key=lambda row: row.start):
        yield at, [_kept(row, waits.get((at, row.agent))) for row in together]


def _waits(resolution: int, start: int, end: int) -> dict[tuple[int, int], dict[str, float]]:
    found: dict[tuple[int, int], dict[str, float]] = {}
    rows = RollupWait.objects.filter(resolution=resolution, start__gte=start, start__lt=end)
    for at, agent, kind, wait_ms in rows.values_list("start", "agent", "kind", "wait_ms").iterator():
        found.setdefault((at, agent), {})[kind] = wait_ms
    return found


def _kept(row: Rollup, waits: dict[str, float] | None) -> Kept:
    tally = Tally(
        operations=row.operations,
        errors=row.errors,
        induced=row.induced,
        duration_ms=row.duration_ms,
        wait_ms=row.wait_ms,
        max_ms=row.max_ms,
        memory=row.memory,
        waits=waits,
        sketch=Sketch.from_bytes(bytes(row.sketch)),
    )
    return row.agent, row.group, row.role, tally
