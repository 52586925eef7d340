"""What any subject did over any stretch of the last month, from rollups: sketches are merged point by point, so
percentiles over old windows are as right as those over the last minute."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count

from apps.telemetry.actions import KEPT_SECONDS
from apps.telemetry.domain.packing import unpacked
from apps.telemetry.domain.rolling import FIVE_MINUTES, HOUR, MINUTE, ROW_SECONDS, SECOND, TEN
from apps.telemetry.domain.series import floor_to
from apps.telemetry.domain.summary import coordination_efficiency
from apps.telemetry.domain.tally import Tally
from apps.telemetry.ingest import STREAM
from apps.telemetry.models import Checkpoint, Rollup

MAX_POINTS = 2_000
# Widths of a point in seconds: round numbers that a resolution divides. Beyond these, multiples of the last.
WIDTHS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400)

Line = list[float | None]


@dataclass(frozen=True, slots=True)
class History:
    """`times`: where each point begins, unix seconds, `width` seconds apart. Every line is as long. None: nothing
    was heard of the subject in that point, which isn't the same as 0."""

    subject: str
    width: int
    times: list[int]
    lines: dict[str, Line]


# Figures of one tally, as `docs/reference/metrics.md` defines them. Percentiles are taken together.
SIMPLE: dict[str, Callable[[Tally, int], float | None]] = {
    "operations": lambda tally, _: tally.operations,
    "errors": lambda tally, _: tally.errors,
    "induced": lambda tally, _: tally.induced,
    "corrected": lambda tally, _: tally.corrected,
    "throughput": lambda tally, width: tally.operations / width,
    "mean": lambda tally, _: tally.duration_ms / tally.operations if tally.operations else None,
    "max": lambda tally, _: tally.max_ms if tally.operations else None,
    "wait_ms": lambda tally, _: tally.wait_ms,
    "wait_pct": lambda tally, _: 100 * tally.wait_ms / tally.duration_ms if tally.duration_ms else None,
    "memory": lambda tally, _: tally.memory or None,
    "cpu": lambda tally, _: tally.cpu / tally.readings if tally.readings else None,
    "concurrency": lambda tally, width: tally.duration_ms / (1000 * width),
    "coordination_efficiency": lambda tally, _: coordination_efficiency(tally),
}
PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
METRICS = frozenset({*SIMPLE, *PERCENTILES})


def read(
    subject: str,
    metrics: Sequence[str],
    start: float,
    end: float,
    points: int = MAX_POINTS,
    *,
    now: float | None = None,
) -> History:
    """At most `points` (and never more than MAX_POINTS) points from `start` to `end`, both unix seconds, of a subject
    as in `agent:12`, `wave:w3` or `yard`. Points are at multiples of their width, so the first may begin before
    `start`. One that isn't over, or not written yet (the last 12 seconds), is left out. Raises KeyError for a metric
    that isn't in METRICS."""
    unknown = set(metrics) - METRICS
    if unknown:
        raise KeyError(*sorted(unknown))
    now = time.time() if now is None else now
    end = min(end, _written_until())
    oldest = max(start, now - KEPT_SECONDS[MINUTE])
    resolution, width = _grain(oldest, end, min(max(points, 1), MAX_POINTS), now)
    first, last = floor_to(oldest, width), floor_to(end, width)
    times = list(range(first, last, width))
    points_at = _points(subject, resolution, width, first, last)
    found = {at: _values(tally, width, metrics) for at, tally in points_at.items()}
    lines = {name: [found[at][name] if at in found else None for at in times] for name in metrics}
    return History(subject, width, times, lines)


def _values(tally: Tally, width: int, metrics: Sequence[str]) -> dict[str, float | None]:
    values = {name: SIMPLE[name](tally, width) for name in metrics if name in SIMPLE}
    ranks = [name for name in PERCENTILES if name in metrics]
    values.update(zip(ranks, tally.sketch.quantiles(*(PERCENTILES[name] for name in ranks)), strict=True))
    return values


def _grain(start: float, end: float, points: int, now: float) -> tuple[int, int]:
    """Resolution of the rollups, and width of a point in seconds: a multiple of it. The narrowest points of which there
    are no more than asked for, and the coarsest rollups that make them, among those that still hold the start."""
    finest = next(
        step for step in (SECOND, TEN, MINUTE) if step == MINUTE or now - KEPT_SECONDS[step] <= start
    )
    widths = chain((width for width in WIDTHS if width >= finest), count(2 * WIDTHS[-1], WIDTHS[-1]))
    width = next(width for width in widths if floor_to(end, width) - floor_to(start, width) <= points * width)
    return max(step for step in ROW_SECONDS if width % step == 0), width


def _points(subject: str, resolution: int, width: int, first: int, last: int) -> dict[int, Tally]:
    found: dict[int, Tally] = {}
    for at, tally in _stretches(subject, resolution, first, last):
        place = floor_to(at, width)
        if place in found:
            found[place].merge(tally)
        else:
            found[place] = tally
    return found


def _stretches(subject: str, resolution: int, first: int, last: int) -> Iterator[tuple[int, Tally]]:
    """Of the resolution, and where that is coarse enough, of what older versions kept as well."""
    for kept_as in (resolution, FIVE_MINUTES) if resolution in (MINUTE, HOUR) else (resolution,):
        row_seconds = ROW_SECONDS.get(kept_as, kept_as)
        rows = Rollup.objects.filter(subject=subject).between(kept_as, first - row_seconds + 1, last)
        for row_start, cells in rows.values_list("start", "cells").iterator(chunk_size=200):
            for at, tally in unpacked(bytes(cells), row_start):
                if first <= at < last:
                    yield at, tally


def _written_until() -> float:
    mark = Checkpoint.objects.filter(stream=STREAM).first()
    return mark.until if mark else 0.0
