"""Made-up snapshots, as the telemetry process publishes them."""

import math
import random
from collections.abc import Iterable

from apps.lib.redis import connection
from apps.telemetry import agent_charts, snapshot
from apps.telemetry.agent_charts import AgentCharts
from apps.telemetry.domain.figures import Count, Counts
from apps.telemetry.snapshot import AgentFigures, Charts, Snapshot, Totals

KINDS = ("build slot", "git ref", "shared state")


def made_up_snapshot(
    agents: Iterable[int],
    waves: Iterable[str],
    *,
    window: int = 300,
    at: float = 1_800_000_000.0,
    tick: int = 1,
) -> Snapshot:
    """Plausible figures for these agents; the same arguments give the same figures."""
    chance = random.Random(tick)
    by_agent = {pk: agent_figures(chance) for pk in agents}
    return Snapshot(
        window=window,
        at=at,
        tick=tick,
        totals=totals(by_agent),
        agents=by_agent,
        charts=charts(waves, window, at, chance),
    )


def agent_figures(chance: random.Random) -> AgentFigures:
    rate = chance.choice([0.0, 0.4, 0.9, 1.8, 2.2, 3.1])
    operations = int(rate * 300)
    return AgentFigures(
        operations=operations,
        errors=operations // 80,
        induced=operations // 40,
        throughput=rate,
        mean=9.0 if operations else None,
        p50=6.0 if operations else None,
        p95=chance.uniform(8, 240) if operations else None,
        p99=300.0 if operations else None,
        max=410.0 if operations else None,
        wait_ms=operations * 3.0,
        wait_pct=chance.choice([0.0, 0.0, 1.5, 3.0, 11.0, 24.0]) if operations else None,
        memory=chance.randint(40, 390) * 1024**2,
        cpu=chance.uniform(0, 0.9),
        sparkline=[round(max(0.0, rate + chance.uniform(-0.6, 0.6)), 2) for _ in range(24)],
        last_at=None,
    )


def totals(by_agent: dict[int, AgentFigures]) -> Totals:
    operations = sum(figures.operations for figures in by_agent.values())
    return Totals(
        operations=operations,
        errors=operations // 80,
        induced=operations // 40,
        throughput=sum(figures.throughput for figures in by_agent.values()),
        mean=12.0,
        p50=6.0,
        p95=21.0,
        p99=48.0,
        max=410.0,
        wait_ms=operations * 3.0,
        wait_pct=2.1,
        memory=sum(figures.memory for figures in by_agent.values()),
        cpu=3.0,
        load_balance=0.86,
        distribution_variance=0.14,
        efficiency=0.9,
        concurrency=4.2,
        coordination_efficiency=None,
        throughput_before=None,
    )


def charts(waves: Iterable[str], window: int, at: float, chance: random.Random) -> Charts:
    points = 60
    step = window / points
    times = [at - window + index * step for index in range(points)]

    def line(level: float, noise: float) -> list[float]:
        return [
            max(0.0, level * (1 + 0.15 * math.sin((time + level * 7) / 40)) + chance.uniform(-noise, noise))
            for time in times
        ]

    return Charts(
        times=times,
        throughput={label: line(18 - index * 4, 3) for index, label in enumerate(waves)},
        p50=list(line(6, 1)),
        p95=list(line(24, 5)),
        p99=list(line(48, 14)),
        wait={kind: line(0.8 - index * 0.25, 0.2) for index, kind in enumerate(KINDS)},
        memory=[value * 1024**3 for value in line(4.1, 0.2)],
    )


def made_up_agent_charts(agent: int, *, window: int = 300, at: float = 1_800_000_000.0) -> AgentCharts:
    """Sixty points of work, with a gap of two in the middle."""
    step = window / 60
    gap = {30, 31}

    def line(level: float) -> list[float | None]:
        return [None if place in gap else level + place % 3 for place in range(60)]

    return AgentCharts(
        agent=agent,
        window=window,
        at=at,
        times=[at - window + place * step for place in range(60)],
        throughput=line(2.0),
        p50=line(6.0),
        p95=line(20.0),
        p99=line(40.0),
        wait={"build slot": line(0.1)},
        memory=[None if value is None else value * 1024**2 for value in line(120.0)],
    )


def publish_agent_charts(made_up: AgentCharts) -> None:
    key = agent_charts.key(made_up.agent, made_up.window)
    connection().set(key, agent_charts.encode(made_up))


def publish(made_up: Snapshot) -> None:
    connection().set(snapshot.key(made_up.window), snapshot.encode(made_up))


def publish_counts(made_up: Snapshot, more: int) -> None:
    """Counts of a quarter of a second later: so many more operations of the yard and of each agent."""
    agents = {pk: Count(figures.operations + more, figures.errors) for pk, figures in made_up.agents.items()}
    totals = Count(made_up.totals.operations + more, made_up.totals.errors)
    counts = Counts(at=made_up.at + 0.25, totals=totals, agents=agents)
    connection().set(snapshot.counts_key(made_up.window), snapshot.encode(counts))
