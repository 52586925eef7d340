"""A window as lines over time."""

from collections.abc import Callable, Mapping
from functools import lru_cache

from apps.telemetry.domain.figures import Charts
from apps.telemetry.domain.series import Series, floor_to
from apps.telemetry.domain.tally import Tally
from apps.telemetry.domain.window import SPARKLINE_POINTS, Window


def charts(yard: Series, window: Window, end: int, since: float) -> Charts:
    """Points lie at multiples of their width, so a line moves but doesn't flicker. A point that isn't
    over yet is left out, and so is what lies before there was anything to see (`since`)."""
    width = window.point
    last = floor_to(end, width)
    first = max(last - window.seconds, floor_to(since, width))
    times = list(range(first, last, width))
    points = [Tally() for _ in times]
    for at, tally in yard.since(window.step, first):
        if at < last:
            points[(at - first) // width].merge(tally)
    percentiles = [point.sketch.quantiles(0.5, 0.95, 0.99) for point in points]
    return Charts(
        times=[float(at) for at in times],
        throughput=_lines(points, lambda point: point.groups or {}, 1 / width),
        p50=[found[0] for found in percentiles],
        p95=[found[1] for found in percentiles],
        p99=[found[2] for found in percentiles],
        wait=_lines(points, lambda point: point.waits or {}, 1 / (1000 * width)),
        memory=[float(point.memory) if point.memory else None for point in points],
    )


def sparkline(series: Series, window: Window, end: int) -> list[float]:
    """Operations per second over the window, in SPARKLINE_POINTS points of nearly the same width."""
    start, end, step = window.start(end), floor_to(end, window.step), window.step
    slots = (end - start) // step
    counts = [0] * SPARKLINE_POINTS
    for at, tally in series.since(step, start):
        if at < end:
            counts[(at - start) // step * SPARKLINE_POINTS // slots] += tally.operations
    return [count / width for count, width in zip(counts, _widths(slots, step), strict=True)]


@lru_cache(maxsize=32)
def _widths(slots: int, step: int) -> list[int]:
    """Seconds that each point of a sparkline over so many slots stands for."""
    widths = [0] * SPARKLINE_POINTS
    for slot in range(slots):
        widths[slot * SPARKLINE_POINTS // slots] += step
    return [width or 1 for width in widths]


def _lines(
    points: list[Tally], values: Callable[[Tally], Mapping[str, float]], factor: float
) -> dict[str, list[float]]:
    """One list for each name that occurs, as long as the points."""
    found: dict[str, list[float]] = {}
    for position, point in enumerate(points):
        for name, value in values(point).items():
            found.setdefault(name, [0.0] * len(points))[position] = value * factor
    return dict(sorted(found.items()))
