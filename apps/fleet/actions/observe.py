"""What `runhost` writes: what it started, sees and saw end. Each write names the epoch: a stale one changes nothing."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F

from apps.events.actions import Fact, record, record_all
from apps.events.domain.actor import YARD
from apps.fleet.domain.lifecycle import Ending, restart_delay
from apps.fleet.models import ENDED, LIVE, Agent, Desired, Host, State


@dataclass(frozen=True, slots=True)
class HostReading:
    logical_cpus: int
    physical_cpus: int
    usable_cpus: float
    load_1: float
    memory_total: int
    memory_available: int
    memory_pressure: float | None
    cpu_pressure: float | None
    io_pressure: float | None
    disk_total: int
    disk_free: int


@dataclass(frozen=True, slots=True)
class Sighting:
    """One look at a live agent: the fields that changed since the last one."""

    agent_pk: int
    epoch: int
    fields: dict[str, object]


@transaction.atomic
def register_host(*, name: str, pid: int, boot_id: str, now: datetime) -> Host:
    host, created = Host.objects.update_or_create(
        name=name, defaults={"pid": pid, "boot_id": boot_id, "heartbeat_at": now}
    )
    text = f"host {name} joined" if created else f"host {name}: runhost started"
    record(Fact("host.started", YARD, text, "host", host.pk, host.name))
    return host


def record_reading(*, host: Host, reading: HostReading, now: datetime) -> None:
    Host.objects.filter(pk=host.pk).update(heartbeat_at=now, **asdict(reading))


def claim_start(*, agent: Agent, token_hash: str, now: datetime) -> bool:
    """Take the right to start this agent's next epoch. False if somebody or something was faster."""
    rows = Agent.objects.filter(pk=agent.pk, epoch=agent.epoch, state=State.READY, desired=Desired.RUNNING)
    taken = rows.update(
        state=State.STARTING,
        epoch=agent.epoch + 1,
        token_hash=token_hash,
        launched_at=now,
        first_seen_at=None,
        seen_at=None,
        output_at=None,
        ended_at=None,
        exit_code=None,
        pid=None,
        pid_started=None,
        stop_requested_at=None,
        restart_at=None,
        reason="",
        activity="",
        processes=None,
        memory_bytes=None,
    )
    if taken:
        agent.refresh_from_db()
    return taken == 1


def renew_token(*, agent: Agent, token_hash: str) -> bool:
    """A start that was cut off between claim and launch begins again with a token of its own."""
    return (
        Agent.objects.filter(pk=agent.pk, epoch=agent.epoch, state=State.STARTING, pid=None).update(
            token_hash=token_hash
        )
        == 1
    )


@transaction.atomic
def record_started(*, agent: Agent, pid: int, pid_started: int, boot_id: str, now: datetime) -> bool:
    """Its process was seen for the first time in this epoch: its first heartbeat."""
    rows = Agent.objects.filter(pk=agent.pk, epoch=agent.epoch, state=State.STARTING)
    fields = {
        "state": State.BUSY,
        "pid": pid,
        "pid_started": pid_started,
        "boot_id": boot_id,
        "first_seen_at": now,
        "seen_at": now,
    }
    if rows.update(**fields) != 1:
        return False
    for name, value in fields.items():
        setattr(agent, name, value)
    again = f" (start {agent.epoch})" if agent.epoch > 1 else ""
    record(
        Fact(
            "agent.started",
            YARD,
            f"{agent.name} started{again}",
            "agent",
            agent.pk,
            agent.name,
            {"epoch": agent.epoch},
        )
    )
    return True


@transaction.atomic
def record_sightings(*, sightings: Iterable[Sighting], seen: Iterable[int], now: datetime) -> None:
    """A heartbeat for all of `seen` in one statement, and what changed of some."""
    Agent.objects.filter(pk__in=list(seen), state__in=LIVE).update(seen_at=now)
    for sighting in sightings:
        Agent.objects.filter(pk=sighting.agent_pk, epoch=sighting.epoch, state__in=LIVE).update(
            **sighting.fields
        )


@transaction.atomic
def record_end(
    *,
    agent: Agent,
    ending: Ending,
    exit_code: int | None,
    max_restarts: int,
    now: datetime,
    fields: dict[str, object],
) -> bool:
    """How it ended; its token is dead from here on. An agent that will be started again says when."""
    delay = restart_delay(
        policy=agent.restart_policy, state=ending.state, restarts=agent.restarts, limit=max_restarts
    )
    restart_at = agent.restart_at or (now + timedelta(seconds=delay) if delay is not None else None)
    rows = Agent.objects.filter(pk=agent.pk, epoch=agent.epoch, state__in=LIVE)
    ended = rows.update(
        **fields,
        state=ending.state,
        reason=ending.reason[:300],
        exit_code=exit_code,
        ended_at=now,
        token_hash="",
        restart_at=restart_at,
        processes=0,
        memory_bytes=None,
    )
    if ended != 1:
        return False
    data = {"epoch": agent.epoch, "exit_code": exit_code}
    text = f"{agent.name}: {ending.reason}"
    record(Fact(f"agent.{ending.state}", YARD, text, "agent", agent.pk, agent.name, data))
    return True


@transaction.atomic
def revive_due(*, host: Host, now: datetime) -> int:
    """Ended agents whose time to start again has come: ready and wanted."""
    due = list(Agent.objects.filter(host=host, state__in=ENDED, restart_at__lte=now))
    revived = [agent for agent in due if revive(agent)]
    record_all(
        Fact("agent.revived", YARD, f"{agent.name} starts again", "agent", agent.pk, agent.name)
        for agent in revived
    )
    return len(revived)


def revive(agent: Agent) -> bool:
    rows = Agent.objects.filter(pk=agent.pk, epoch=agent.epoch, state__in=ENDED).exclude(restart_at=None)
    return (
        rows.update(
            state=State.READY,
            desired=Desired.RUNNING,
            restart_at=None,
            stop_requested_at=None,
            ended_at=None,
            restarts=F("restarts") + 1,
        )
        == 1
    )
