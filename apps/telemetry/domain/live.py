"""What the yard does now: a series per agent and one of the whole yard, and snapshots of windows of them."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec.structs import asdict

from apps.telemetry.domain import spread
from apps.telemetry.domain.agent_charts import agent_charts
from apps.telemetry.domain.charts import charts, sparkline
from apps.telemetry.domain.counts import Counter, Counting, by_second, counted
from apps.telemetry.domain.figures import AgentCharts, AgentFigures, Counts, GroupFigures, Snapshot, Totals
from apps.telemetry.domain.sample import Reading
from apps.telemetry.domain.series import OPEN_SECONDS, SECOND, TEN, Series, floor_to
from apps.telemetry.domain.signs import Signs
from apps.telemetry.domain.subjects import YARD, Labels
from apps.telemetry.domain.summary import Member, all_groups, figures, group_figures, joint_figures
from apps.telemetry.domain.tally import Tally, total
from apps.telemetry.domain.window import WINDOWS, Window

FRESH_SECONDS = 15.0  # an older gauge says nothing about now
FORGET_SECONDS = 86_400.0
MAX_AGENTS = 5_000
MAX_GAUGED = 600  # seconds; far behind, a restart reads an hour before anything is written


class Gauge(NamedTuple):
    """Bytes and cores in use at one moment."""

    memory: int = 0
    cpu: float = 0.0

    def plus(self, other: "Gauge") -> "Gauge":
        return Gauge(self.memory + other.memory, self.cpu + other.cpu)


@dataclass(slots=True)
class LiveAgent:
    """`seen_at`: last sign of any kind; `last_at`: end of the last sample, to the second; `read_at`: last reading by
    its host."""

    labels: Labels
    seen_at: float
    last_at: float | None = None
    memory: int = 0
    cpu: float = 0.0
    gauged_at: float = 0.0
    read_at: float = 0.0
    series: Series = field(default_factory=Series)
    signs: Signs = field(default_factory=Signs)

    def gauge(self, now: float) -> Gauge:
        """As of now; nothing when the last reading is old."""
        return Gauge(self.memory, self.cpu) if now - self.gauged_at <= FRESH_SECONDS else Gauge()

    def read(self, at: float, memory: int, cpu: float) -> None:
        """A reading by its host."""
        self.memory, self.cpu = memory, cpu
        self.read_at = self.gauged_at = at

    def hear(self, at: float, memory: int) -> None:
        """What it says of its memory itself, which counts where its host says nothing."""
        if memory and at - self.read_at > FRESH_SECONDS:
            self.memory, self.cpu, self.gauged_at = memory, 0.0, at


class Live:
    """`at` and `now` are times of arrival, in unix seconds. They never go back, and `now` is less than OPEN_SECONDS
    behind `at`. Work counts in the second that `placing` found for it."""

    def __init__(self) -> None:
        self.agents: dict[int, LiveAgent] = {}
        self.yard = Series()
        self.since: float | None = None
        # By closed second: what each subject but agents used then. The reader takes them out.
        self.gauged: dict[int, dict[str, Gauge]] = {}
        self._counting: dict[int, Counting] = {}
        self._second = 0
        self._alone: tuple[int, float | None] = (0, None)

    def add(self, *, at: float, agent: int, labels: Labels, parts: Mapping[int, Tally]) -> None:
        """What an agent reported in one frame, by the second in which it counts."""
        self.advance(at)
        known = self._agent(agent, labels, max(parts, default=int(at)))
        known.hear(at, max((tally.memory for tally in parts.values()), default=0))
        for second, tally in parts.items():
            is_recent = second >= self._second - OPEN_SECONDS
            known.signs.add(second, known.gauge(at).memory if is_recent else 0)
            known.last_at = max(known.last_at or 0.0, float(second))
            known.series.at(second).merge(tally)
            for counting in self._counting.values():
                counting.add(agent, second, tally)
            yard = self.yard.at(second)
            yard.merge_work(tally)
            yard.add_group(labels.wave, tally.operations)
        if not parts:
            known.signs.add(int(at), known.gauge(at).memory)

    def read(self, *, at: float, readings: Iterable[Reading]) -> None:
        """What a host read off its agents' processes."""
        self.advance(at)
        for reading in readings:
            known = self._agent(reading.agent, reading.labels, int(at))
            known.read(at, reading.memory, reading.cpu_cores)
            known.signs.add(int(at), reading.memory)

    def restore(self, *, agent: int, labels: Labels, step: int, start: int, tally: Tally) -> None:
        """Puts back what a rollup of `step` seconds kept of an agent; by agent in order of time, and before
        anything is added. Goes into the ring that holds it, so each ring is restored from rollups that hold all."""
        known = self._agent(agent, labels, start)
        if tally.operations:
            known.last_at = max(known.last_at or 0.0, float(start))
            known.series.restore(step, start, tally)
        if step == SECOND:
            if tally.readings:
                known.read(float(start), tally.memory, tally.cpu / tally.readings)
            else:
                known.hear(float(start), tally.memory)
        known.signs.keep(step, start, tally.memory or known.gauge(start).memory)

    def restore_yard(self, *, step: int, start: int, tally: Tally) -> None:
        self.yard.restore(step, start, tally)

    def restored(self, *, since: float | None) -> None:
        """To be called once after all of `restore`. `since`: when the yard was first heard of."""
        self.since = since
        for series in [self.yard, *(agent.series for agent in self.agents.values())]:
            series.close_before(0)

    def advance(self, now: float) -> None:
        """Closes the seconds before this one."""
        second = int(now)
        if second <= self._second:
            return
        if self._second:
            self._gauge(now)
        before, self._second = self._second, second
        self.yard.close_before(second)
        for agent in self.agents.values():
            agent.series.close_before(second)
        if before // 10 < second // 10:
            self._forget_old(now)

    def snapshot(self, seconds: int, now: float, tick: int) -> Snapshot:
        """Ends with the last whole second before `now`. Raises KeyError for a window that isn't one of WINDOWS."""
        window = WINDOWS[seconds]
        end = self._end(now)
        members = self._members(window, end, now)
        return Snapshot(
            window=seconds,
            at=now,
            tick=tick,
            totals=self._totals(members.values(), window, end),
            agents={pk: self._agent_figures(pk, member, window, end) for pk, member in members.items()},
            charts=charts(self.yard, window, end, self._since(end)),
            groups=all_groups(members.values(), self._covered(window, end), self.one_agent_throughput()),
        )

    def count_on(self, snapshot: Snapshot) -> None:
        """Keeps this window's counts up from here on. To be called at once after `snapshot`."""
        window, end = WINDOWS[snapshot.window], self._end(snapshot.at)
        self._counting[window.seconds] = Counting(
            window,
            end,
            counted(snapshot.totals, self.yard.not_over(end)),
            {
                pk: Counter(
                    counted(figures, self.agents[pk].series.not_over(end)),
                    by_second(self.agents[pk].series.between(*window.leaving(end))),
                )
                for pk, figures in snapshot.agents.items()
            },
        )

    def counts(self, seconds: int, now: float) -> Counts:
        """What that window holds up to now, the second that isn't over included. Raises KeyError before `count_on`."""
        return self._counting[seconds].counts(now)

    def together(self, agents: Collection[int], seconds: int, now: float) -> GroupFigures:
        """The figures of any set of agents in a window. Those that weren't heard of in it are passed over. Raises
        KeyError for a window that isn't one of WINDOWS."""
        window = WINDOWS[seconds]
        end = self._end(now)
        members = self._members(window, end, now, set(agents))
        return group_figures(members.values(), self._covered(window, end), self.one_agent_throughput())

    def agent_charts(self, pk: int, seconds: int, now: float) -> AgentCharts | None:
        """Of one agent alone, for who looks at it: a snapshot would grow by all agents' lines. None for an
        agent that was never heard of. Raises KeyError for a window that isn't one of WINDOWS."""
        window = WINDOWS[seconds]
        end = self._end(now)
        agent = self.agents.get(pk)
        if agent is None:
            return None
        return agent_charts(pk, agent.series, agent.signs, window, end, now)

    def one_agent_throughput(self) -> float | None:
        """Looked up every ten seconds: it goes over the last hour of all agents."""
        ten = floor_to(self._second, TEN)
        if self._alone[0] != ten:
            known = ((agent.series, agent.signs) for agent in self.agents.values())
            self._alone = ten, spread.one_agent_throughput(known, ten)
        return self._alone[1]

    def _end(self, now: float) -> int:
        """The second before which figures as of `now` end. Later ones may be known: see OPEN_SECONDS."""
        self.advance(now)
        return min(self._second, int(now))

    def _members(
        self, window: Window, end: int, now: float, only: Collection[int] | None = None
    ) -> dict[int, Member]:
        start = window.start(end)
        return {
            pk: Member(
                agent.labels,
                total(agent.series.window(start, end, window.step)),
                *agent.gauge(now),
                self._presence(agent, window, end),
            )
            for pk, agent in self.agents.items()
            if agent.seen_at >= start and (only is None or pk in only)
        }

    def _presence(self, agent: LiveAgent, window: Window, end: int) -> float:
        """For how much of the window's whole stretches the agent was heard of, 0 to 1. Hosts read once a second,
        more or less, so single seconds would be counted too low."""
        step = max(window.step, TEN)
        first = max(floor_to(window.start(end), step), floor_to(self._since(end), step))
        stretches = max(1, (floor_to(end - 1, step) - first) // step + 1)
        return min(1.0, agent.signs.count(step, first, end) / stretches)

    def _totals(self, members: Collection[Member], window: Window, end: int) -> Totals:
        whole = total(self.yard.window(window.start(end), end, window.step))
        joint = joint_figures(whole, list(members), self._covered(window, end), self.one_agent_throughput())
        return Totals(**asdict(joint), throughput_before=self._throughput_before(window, end))

    def _throughput_before(self, window: Window, end: int) -> float | None:
        """Of the equally long period before the window; None where it isn't known all through."""
        step = window.before_step
        if step is None:
            return None
        last = floor_to(window.start(end), step)
        first = last - window.seconds
        if first < self._since(end):
            return None
        return (
            sum(tally.operations for at, tally in self.yard.since(step, first) if at < last) / window.seconds
        )

    def _agent_figures(self, pk: int, member: Member, window: Window, end: int) -> AgentFigures:
        agent = self.agents[pk]
        own = figures(member.whole, self._covered(window, end), memory=member.memory, cpu=member.cpu)
        line = sparkline(agent.series, window, end)
        return AgentFigures(**asdict(own), sparkline=line, last_at=agent.last_at)

    def _covered(self, window: Window, end: int) -> float:
        """Seconds that the window's figures stand for: less than the window while the yard is younger."""
        return max(1.0, end - max(float(window.start(end)), self._since(end)))

    def _since(self, end: int) -> float:
        return float(int(self.since)) if self.since is not None else float(end)

    def _agent(self, pk: int, labels: Labels, second: int) -> LiveAgent:
        self.since = float(second) if self.since is None else min(self.since, float(second))
        known = self.agents.get(pk)
        if known is None:
            known = self.agents[pk] = LiveAgent(labels, float(second))
            if len(self.agents) > MAX_AGENTS:
                self._make_room()
        known.seen_at = max(float(second), known.seen_at)
        if labels != known.labels:
            known.labels = labels.or_else(known.labels)
        return known

    def _gauge(self, now: float) -> None:
        """Notes what all that are heard of use, in the second that closes."""
        sums: dict[str, Gauge] = {}
        for agent in self.agents.values():
            gauge = agent.gauge(now)
            if gauge.memory or gauge.cpu:
                for subject in (YARD, *agent.labels.subjects()):
                    sums[subject] = sums.get(subject, Gauge()).plus(gauge)
        if sums:
            self.yard.at(self._second).read(*sums[YARD])
            self.gauged[self._second] = sums
            if len(self.gauged) > MAX_GAUGED:
                del self.gauged[min(self.gauged)]

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
