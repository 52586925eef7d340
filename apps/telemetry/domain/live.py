"""What the yard does now: a series per agent and one of the whole yard, and snapshots of windows of them."""

import statistics
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from msgspec.structs import asdict

from apps.telemetry.domain.agent_charts import agent_charts
from apps.telemetry.domain.charts import charts, sparkline
from apps.telemetry.domain.figures import AgentCharts, AgentFigures, Figures, Snapshot, Totals
from apps.telemetry.domain.sample import Reading
from apps.telemetry.domain.series import COARSER, SECOND, Series, floor_to
from apps.telemetry.domain.signs import Signs
from apps.telemetry.domain.tally import Tally, total
from apps.telemetry.domain.window import WINDOWS, Window

Kept = tuple[int, str, str, Tally]  # agent, group, role, what it did

FRESH_SECONDS = 15.0  # an older gauge says nothing about now
FORGET_SECONDS = 86_400.0
MAX_AGENTS = 5_000


@dataclass(slots=True)
class LiveAgent:
    """`seen_at`: last sign of any kind; `last_at`: last sample; `read_at`: last reading by its host."""

    group: str
    role: str
    seen_at: float
    last_at: float | None = None
    memory: int = 0
    cpu: float = 0.0
    gauged_at: float = 0.0
    read_at: float = 0.0
    series: Series = field(default_factory=Series)
    signs: Signs = field(default_factory=Signs)

    def gauge(self, now: float) -> tuple[int, float]:
        """Bytes and cores, as of now; nothing when the last reading is old."""
        return (self.memory, self.cpu) if now - self.gauged_at <= FRESH_SECONDS else (0, 0.0)


class Live:
    """Times are arrival times, in unix seconds, and never go back."""

    def __init__(self) -> None:
        self.agents: dict[int, LiveAgent] = {}
        self.yard = Series()
        self.since: float | None = None
        self._restored_until = 0
        self._second = 0

    def add(self, *, at: float, agent: int, group: str, role: str, tally: Tally) -> None:
        """What an agent reported in one frame."""
        self.advance(at)
        known = self._agent(agent, group, role, at)
        if tally.memory and at - known.read_at > FRESH_SECONDS:
            known.memory, known.cpu, known.gauged_at = tally.memory, 0.0, at
        known.signs.add(self._second, known.gauge(at)[0])
        if not tally.operations:
            return
        known.last_at = at
        known.series.open(self._second).merge(tally)
        yard = self.yard.open(self._second)
        yard.merge(tally)
        yard.add_group(group, tally.operations)

    def read(self, *, at: float, readings: Iterable[Reading]) -> None:
        """What a host read off its agents' processes."""
        self.advance(at)
        for reading in readings:
            known = self._agent(reading.agent, reading.group, reading.role, at)
            known.memory, known.cpu = reading.memory, reading.cpu_cores
            known.read_at = known.gauged_at = at
            known.signs.add(self._second, reading.memory)

    def restore(self, *, step: int, start: int, kept: Iterable[Kept], fold: bool = False) -> None:
        """Puts back what rollups kept of one stretch of time; in order of time, before anything is added.
        `fold`: no coarser rollup holds it."""
        whole = Tally()
        memory = 0
        for agent, group, role, tally in kept:
            known = self._agent(agent, group, role, float(start))
            if tally.operations:
                known.last_at = float(start)
            whole.merge(tally)
            whole.add_group(group, tally.operations)
            memory += tally.memory
            known.series.restore(step, start, tally, fold=fold)
            for kept_step in (step, COARSER[step]) if fold else (step,):
                known.signs.keep(kept_step, start, tally.memory)
        whole.memory = memory
        self.yard.restore(step, start, whole, fold=fold)
        self.since = min(self.since or start, float(start))
        self._restored_until = max(self._restored_until, start + step)

    def advance(self, now: float) -> None:
        """Closes the seconds before this one."""
        second = int(now)
        if second <= self._second:
            return
        memory = sum(agent.gauge(now)[0] for agent in self.agents.values())
        if memory and self._second:
            self.yard.open(self._second).memory = memory
        before, self._second = self._second, second
        self.since = now if self.since is None else self.since
        self.yard.close_before(second)
        for agent in self.agents.values():
            agent.series.close_before(second)
        if before // 10 < second // 10:
            self._forget_old(now)

    def snapshot(self, seconds: int, now: float, tick: int) -> Snapshot:
        """Raises KeyError for a window that isn't one of WINDOWS."""
        window = WINDOWS[seconds]
        self.advance(now)
        end = self._second
        agents = {
            pk: self._agent_figures(agent, window, end, now)
            for pk, agent in self.agents.items()
            if agent.seen_at >= window.start(end)
        }
        return Snapshot(
            window=seconds,
            at=now,
            tick=tick,
            totals=self._totals(agents.values(), window, end),
            agents=agents,
            charts=charts(self.yard, window, end, self._since(end)),
        )

    def agent_charts(self, pk: int, seconds: int, now: float) -> AgentCharts | None:
        """Of one agent alone, for who looks at it: a snapshot would grow by all agents' lines. None for an
        agent that was never heard of. Raises KeyError for a window that isn't one of WINDOWS."""
        window = WINDOWS[seconds]
        self.advance(now)
        agent = self.agents.get(pk)
        if agent is None:
            return None
        return agent_charts(pk, agent.series, agent.signs, window, self._second, now)

    def _totals(self, agents: Collection[AgentFigures], window: Window, end: int) -> Totals:
        figures = _figures(
            total(self.yard.window(window.start(end), window.step)),
            self._covered(window, end),
            memory=sum(agent.memory for agent in agents),
            cpu=sum(agent.cpu for agent in agents),
        )
        balance = load_balance([agent.operations for agent in agents if agent.operations])
        return Totals(
            **asdict(figures),
            load_balance=balance,
            # No producer measures coordination overhead yet: "no data", and never a number that looks like one.
            coordination_efficiency=None,
            throughput_before=self._throughput_before(window, end),
        )

    def _throughput_before(self, window: Window, end: int) -> float | None:
        """Of the equally long period before the window; None where it isn't known all through."""
        step = window.before_step
        if step is None:
            return None
        last = floor_to(window.start(end), step)
        first = last - window.seconds
        if first < self._since(end) or (step == SECOND and first < self._restored_until):
            return None  # no rollup keeps single seconds
        ring = self.yard.rings[step]
        return sum(tally.operations for at, tally in ring.since(first) if at < last) / window.seconds

    def _agent_figures(self, agent: LiveAgent, window: Window, end: int, now: float) -> AgentFigures:
        memory, cpu = agent.gauge(now)
        whole = total(agent.series.window(window.start(end), window.step))
        figures = _figures(whole, self._covered(window, end), memory=memory, cpu=cpu)
        line = sparkline(agent.series, window, end)
        return AgentFigures(**asdict(figures), sparkline=line, last_at=agent.last_at)

    def _covered(self, window: Window, end: int) -> float:
        """Seconds that the window's figures stand for: less than the window while the yard is younger."""
        return max(1.0, end - max(float(window.start(end)), self._since(end)))

    def _since(self, end: int) -> float:
        return float(int(self.since)) if self.since is not None else float(end)

    def _agent(self, pk: int, group: str, role: str, at: float) -> LiveAgent:
        known = self.agents.get(pk)
        if known is None:
            known = self.agents[pk] = LiveAgent(group, role, at)
            if len(self.agents) > MAX_AGENTS:
                self._make_room()
        known.group, known.role, known.seen_at = group, role, max(at, known.seen_at)
        return known

    def _forget_old(self, now: float) -> None:
        self.yard.drop_old(now)
        for pk, agent in list(self.agents.items()):
            agent.series.drop_old(now)
            agent.signs.drop_old(now)
            if agent.seen_at < now - FORGET_SECONDS:
                del self.agents[pk]

    def _make_room(self) -> None:
        """A tenth at once, longest silent first, so that it isn't sorted for each newcomer."""
        by_silence = sorted(self.agents, key=lambda pk: self.agents[pk].seen_at)
        for pk in by_silence[: MAX_AGENTS // 10]:
            del self.agents[pk]


def load_balance(operations: list[int]) -> float | None:
    """max(0, 1 - coefficient of variation) of operations per active agent; None for fewer than two."""
    if len(operations) < 2:
        return None
    return max(0.0, 1.0 - statistics.pstdev(operations) / statistics.fmean(operations))


def _figures(tally: Tally, seconds: float, *, memory: int, cpu: float) -> Figures:
    p50, p95, p99 = tally.sketch.quantiles(0.5, 0.95, 0.99)
    return Figures(
        operations=tally.operations,
        errors=tally.errors,
        induced=tally.induced,
        throughput=tally.operations / seconds,
        mean=tally.duration_ms / tally.operations if tally.operations else None,
        p50=p50,
        p95=p95,
        p99=p99,
        max=tally.max_ms if tally.operations else None,
        wait_ms=tally.wait_ms,
        wait_pct=100 * tally.wait_ms / tally.duration_ms if tally.duration_ms else None,
        memory=memory,
        cpu=cpu,
    )
