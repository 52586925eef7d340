"""One agent as lines over time: throughput, latency, lock wait and memory."""

from apps.telemetry.domain.figures import AgentCharts
from apps.telemetry.domain.series import Series, floor_to
from apps.telemetry.domain.signs import Signs
from apps.telemetry.domain.tally import Tally
from apps.telemetry.domain.window import Window

# Hosts read their agents once a second, late under load: a short silence between narrow points is no gap.
HELD_SECONDS = 5


def agent_charts(pk: int, series: Series, signs: Signs, window: Window, end: int, now: float) -> AgentCharts:
    """From the agent's first sign in the window on. A point in which nothing was heard of it has no values."""
    width = window.point
    last = floor_to(end, width)
    heard = [(at, memory) for at, memory in signs.since(window.step, last - window.seconds) if at < last]
    first = max(last - window.seconds, floor_to(heard[0][0], width)) if heard else last
    times = list(range(first, last, width))
    points = [Tally() for _ in times]
    for at, tally in series.since(window.step, first):
        if at < last:
            points[(at - first) // width].merge(tally)
    memory = _memory(heard, first, width, len(times), window.step)
    percentiles = [point.sketch.quantiles(0.5, 0.95, 0.99) for point in points]
    kinds = sorted({kind for point in points for kind in point.waits or {}})
    return AgentCharts(
        agent=pk,
        window=window.seconds,
        at=now,
        times=[float(at) for at in times],
        throughput=_where_heard(memory, [point.operations / width for point in points]),
        p50=[found[0] for found in percentiles],
        p95=[found[1] for found in percentiles],
        p99=[found[2] for found in percentiles],
        wait={
            kind: _where_heard(
                memory, [(point.waits or {}).get(kind, 0.0) / (1000 * width) for point in points]
            )
            for kind in kinds
        },
        memory=[float(most) if most else None for most in memory],
    )


def _where_heard(memory: list[int | None], values: list[float]) -> list[float | None]:
    return [None if most is None else value for most, value in zip(memory, values, strict=True)]


def _memory(heard: list[tuple[int, int]], first: int, width: int, count: int, step: int) -> list[int | None]:
    """The most memory in each point; 0 where it isn't known, None where nothing was heard of the agent."""
    own: list[int | None] = [None] * count
    held: list[int | None] = [None] * count
    hold = HELD_SECONDS if width <= HELD_SECONDS else 0
    for at, memory in heard:
        start, end = (at - first) // width, (at + step - 1 - first) // width
        for place in range(start, min(end + 1, count)):
            own[place] = max(own[place] or 0, memory)
        for place in range(end + 1, min((at + step - 1 + hold - first) // width + 1, count)):
            held[place] = memory
    return [before if here is None else here for here, before in zip(own, held, strict=True)]
