"""Measures over time: by ten seconds for the short windows, by 300 s for the long ones."""

from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from apps.telemetry.domain.figures import Snapshot
from apps.telemetry.domain.measures import COST, Measures, figures, merge, tokens
from apps.telemetry.domain.series import SPAN, TEN, ceil_to, floor_to

KEPT = {TEN: 320, SPAN: 86_400 + SPAN}  # seconds; the short windows end at 300
SHORT_WINDOW = 300


def step_of(window: int) -> int:
    """How finely measures are looked at in this window: agents report them every few seconds at best."""
    return TEN if window <= SHORT_WINDOW else SPAN


class MeasureSeries:
    """Of one agent. Times are arrival times and never go back."""

    __slots__ = ("_rings",)

    def __init__(self) -> None:
        self._rings: dict[int, deque[tuple[int, Measures]]] = {step: deque() for step in KEPT}

    def add(self, at: float, measures: Measures) -> None:
        # Shown over windows is what all models used: what each did would be most of the memory.
        bare = {name: replace(measured, models=None) for name, measured in measures.items()}
        for step in self._rings:
            self.restore(step, floor_to(at, step), bare)

    def restore(self, step: int, start: int, measures: Measures) -> None:
        ring = self._rings[step]
        if not ring or ring[-1][0] < start:
            for measured in ring[-1][1].values() if ring else ():
                if measured.sketch is not None:
                    measured.sketch.freeze()
            ring.append((start, {}))
        merge(ring[-1][1], measures)

    def window(self, seconds: int, end: int) -> Measures:
        """What was reported in a window, from a multiple of its step on. A gauge is the last one in it."""
        step = step_of(seconds)
        first = ceil_to(end - seconds, step)
        found: Measures = {}
        for start, measures in self._rings[step]:
            if start >= first:
                merge(found, measures)
        return found

    def drop_old(self, now: float) -> bool:
        """Whether anything is left."""
        for step, ring in self._rings.items():
            while ring and ring[0][0] < now - KEPT[step]:
                ring.popleft()
        return any(self._rings.values())


class LiveMeasures:
    """What agents measured in the last day. Who measured nothing for so long is forgotten."""

    def __init__(self) -> None:
        self._agents: dict[int, MeasureSeries] = {}
        self._tidied = 0

    def add(self, at: float, agent: int, measures: Measures) -> None:
        self._series(agent).add(at, measures)
        if self._tidied < floor_to(at, TEN):
            self._tidied = floor_to(at, TEN)
            self._agents = {pk: series for pk, series in self._agents.items() if series.drop_old(at)}

    def restore(self, agent: int, step: int, start: int, measures: Measures) -> None:
        """Puts back what rollups kept of one stretch; in order of time, before anything is added."""
        self._series(agent).restore(step, start, measures)

    def show(self, snapshot: Snapshot) -> None:
        """Puts what was measured into a snapshot of the agents that were heard of."""
        for pk, agent in snapshot.agents.items():
            if pk in self._agents:
                agent.measures = figures(self._agents[pk].window(snapshot.window, int(snapshot.at)))
        snapshot.totals.tokens = _sum(tokens(agent.measures) for agent in snapshot.agents.values())
        snapshot.totals.cost_usd = _sum(agent.measures.get(COST) for agent in snapshot.agents.values())

    def _series(self, agent: int) -> MeasureSeries:
        return self._agents.setdefault(agent, MeasureSeries())


class PendingMeasures:
    """What was read from the stream and isn't in the database yet: by ten seconds of arrival, as other entries are."""

    def __init__(self) -> None:
        self._slots: dict[int, dict[int, Measures]] = {}

    def add(self, at: float, agent: int, measures: Measures) -> None:
        merge(self._slots.setdefault(floor_to(at, TEN), {}).setdefault(agent, {}), measures)

    def closed(self, before: float) -> list[tuple[int, int, Measures]]:
        """Start, agent and measures of the slots that end by then, oldest first. They stay until `drop`."""
        return [
            (start, agent, measures)
            for start, agents in self._slots.items()
            if start + TEN <= before
            for agent, measures in agents.items()
        ]

    def drop(self, before: float) -> None:
        """Forgets what `closed` gave, once it is written."""
        self._slots = {start: agents for start, agents in self._slots.items() if start + TEN > before}


def _sum(amounts: Iterable[float | None]) -> float | None:
    """None where nobody has any: no data isn't zero."""
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if known else None
