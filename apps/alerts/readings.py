"""What rules are evaluated on: one look at the figures, hosts, agents and waves, in a bounded number of queries."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

import msgspec
from django.db.models import Exists, OuterRef

from apps.alerts.domain.evaluation import Readings, Subject
from apps.alerts.domain.metrics import Scope
from apps.capacity.domain.admission import MB
from apps.fleet.models import ACTIVE, LIVE, UNSTARTED, Agent, Host, State
from apps.lib.redis import RedisUnavailable
from apps.telemetry import snapshot as snapshots
from apps.telemetry.domain.figures import GroupFigures
from apps.telemetry.snapshot import Figures, Snapshot
from apps.waves.models import Member, Wave, WaveState

log = logging.getLogger(__name__)

WINDOW = 60  # seconds of the figures that rules look at
STALE_SECONDS = 15.0  # figures older than that are no data
LEAST_OPERATIONS = 20  # a percentile or a share of fewer says nothing
YARD = Subject(Scope.YARD, 0, "the yard")

Found = tuple[str, Subject, float | None]  # metric, subject, value


def collect(now: datetime) -> Readings:
    """Raises the database's own errors; without Redis there are no figures."""
    agents = {agent.pk: agent for agent in live_agents()}
    hosts = list(Host.objects.order_by("pk"))
    values: dict[tuple[str, str], dict[Subject, float]] = {}
    for metric, subject, value in (
        *from_figures(fresh_snapshot(now), agents, groups_of(hosts)),
        *from_agents(agents.values(), now),
        *from_hosts(hosts, now),
        *from_waves(waves_to_start(), now),
    ):
        if value is not None:
            values.setdefault((metric, subject.scope), {})[subject] = value
    return Readings(values)


def live_agents() -> Iterable[Agent]:
    fields = ("name", "state", "memory_bytes", "memory_budget_mb", "output_at", "first_seen_at")
    return Agent.objects.filter(state__in=LIVE).only("pk", *fields)


def groups_of(hosts: Iterable[Host]) -> dict[str, Subject]:
    """Who else figures are of, by the name that telemetry knows them under."""
    waves = Wave.objects.open().values_list("pk", "label")
    return {f"wave:{label}": Subject(Scope.WAVE, pk, label) for pk, label in waves} | {
        f"host:{host.name}": Subject(Scope.HOST, host.pk, host.name) for host in hosts
    }


def waves_to_start() -> Iterable[Wave]:
    """Those that run and have agents left to start."""
    unstarted = Member.objects.filter(wave=OuterRef("pk"), agent__state__in=UNSTARTED)
    rows = Wave.objects.filter(Exists(unstarted), state=WaveState.RUNNING)
    return rows.only("pk", "label", "step_at", "created_at")


def fresh_snapshot(now: datetime) -> Snapshot | None:
    """None without figures, and for figures that aren't renewed: whatever they say, it isn't so now. Those of a moment
    to come are from before a clock was put back."""
    try:
        found = snapshots.read(WINDOW)
    except (RedisUnavailable, msgspec.MsgspecError) as error:
        log.debug("no figures: %s", error)
        return None
    return found if found and abs(now.timestamp() - found.at) <= STALE_SECONDS else None


def from_figures(
    snapshot: Snapshot | None, agents: Mapping[int, Agent], groups: Mapping[str, Subject]
) -> Iterator[Found]:
    if snapshot is None:
        return
    yield from of_group(YARD, snapshot.totals)
    for name, group in snapshot.groups.items():
        if name in groups:
            yield from of_group(groups[name], group)
    for pk, figures in snapshot.agents.items():
        if pk in agents:
            yield from shares(Subject(Scope.AGENT, pk, agents[pk].name), figures)


def shares(subject: Subject, figures: Figures) -> Iterator[Found]:
    if figures.operations < LEAST_OPERATIONS:
        return
    yield "latency_p95", subject, figures.p95
    yield "latency_p99", subject, figures.p99
    yield "error_rate", subject, 100 * figures.errors / figures.operations
    yield "lock_wait", subject, figures.wait_pct
    efficiency = figures.coordination_efficiency
    yield "coordination_overhead", subject, None if efficiency is None else 100 * (1 - efficiency)


def of_group(subject: Subject, figures: GroupFigures) -> Iterator[Found]:
    yield from shares(subject, figures)
    if figures.operations >= LEAST_OPERATIONS:
        yield "distribution_variance", subject, figures.distribution_variance


def from_agents(agents: Iterable[Agent], now: datetime) -> Iterator[Found]:
    for agent in agents:
        subject = Subject(Scope.AGENT, agent.pk, agent.name)
        if agent.memory_bytes is not None and agent.memory_budget_mb:
            yield "memory_used", subject, 100 * agent.memory_bytes / (agent.memory_budget_mb * MB)
        if agent.state in ACTIVE and agent.state != State.WAITING:
            yield "output_age", subject, age(agent.output_at or agent.first_seen_at, now)


def from_hosts(hosts: Iterable[Host], now: datetime) -> Iterator[Found]:
    """Of a host that doesn't answer only that counts: what it said last is no reading of now."""
    for host in hosts:
        subject = Subject(Scope.HOST, host.pk, host.name)
        heard = age(host.heartbeat_at, now)
        yield "heartbeat_age", subject, heard
        if heard is None or heard > STALE_SECONDS:
            continue
        for metric, free, total in (
            ("memory_used", host.memory_available, host.memory_total),
            ("disk_used", host.disk_free, host.disk_total),
        ):
            if free is not None and total:
                yield metric, subject, 100 * (1 - free / total)


def from_waves(waves: Iterable[Wave], now: datetime) -> Iterator[Found]:
    for wave in waves:
        yield "step_age", Subject(Scope.WAVE, wave.pk, wave.label), age(wave.step_at or wave.created_at, now)


def age(at: datetime | None, now: datetime) -> float | None:
    """In seconds; none is negative, as clocks of two machines differ."""
    return None if at is None else max(0.0, (now - at).total_seconds())
