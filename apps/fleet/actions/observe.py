"""What `runhost` writes: what it started, sees and saw end. Each write names the epoch: a stale one changes nothing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.db.models import F

from apps.events.actions import Fact, record
from apps.events.domain.actor import YARD
from apps.fleet.actions.revive import revive_due as revive_due  # part of what `runhost` does
from apps.fleet.domain.health import Health
from apps.fleet.domain.lifecycle import Ending, restart_delay
from apps.fleet.exceptions import HostTaken
from apps.fleet.models import LIVE, Agent, Desired, Host, State


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
def register_host(*, name: str, pid: int, boot_id: str, home_id: str, now: datetime) -> Host:
    """Raises HostTaken while another runhost goes by this name: each would start the other's agents. It is another by
    its machine, or by its home: containers on one machine share what tells machines apart."""
    named = Host.objects.filter(name=name)
    other = named.exclude(boot_id__in=["", boot_id], home_id__in=["", home_id]).first()
    if other is not None and other.health(now) not in (Health.FAILED, Health.UNKNOWN):
        raise HostTaken(
            f"Another machine, or another home, gives signs of life as host “{name}”: "
            "set SWARMYARD_HOST_NAME to a name of its own here."
        )
    host, created = Host.objects.update_or_create(
        name=name, defaults={"pid": pid, "boot_id": boot_id, "home_id": home_id, "heartbeat_at": now}
    )
    text = f"host {name} joined" if created else f"host {name}: runhost started"
    record(Fact("host.started", YARD, text, "host", host.pk, host.name))
    return host


def record_reading(*, host: Host, reading: HostReading, now: datetime) -> None:
    Host.objects.filter(pk=host.pk).update(heartbeat_at=now, **asdict(reading))


def record_equipment(*, host: Host, equipment: Mapping[str, object]) -> None:
    Host.objects.filter(pk=host.pk).update(equipment=equipment)


# What a new epoch knows nothing of.
FRESH: dict[str, object] = {
    "state": State.STARTING,
    "first_seen_at": None,
    "seen_at": None,
    "output_at": None,
    "ended_at": None,
    "exit_code": None,
    "pid": None,
    "pid_started": None,
    "boot_id": "",
    "stop_requested_at": None,
    "restart_at": None,
    "output_offset": 0,
    "reason": "",
    "activity": "",
    "session_id": "",
    "processes": None,
    "memory_bytes": None,
}


@transaction.atomic
def claim_starts(*, agents: Sequence[Agent], token_hashes: Mapping[int, str], now: datetime) -> list[Agent]:
    """Take the right to start the next epoch of some agents. Returns those for which nobody was faster, read anew
    and whole. `token_hashes`: by primary key."""
    epochs = {agent.pk: agent.epoch for agent in agents}
    rows = Agent.objects.select_for_update().filter(pk__in=epochs, state=State.READY, desired=Desired.RUNNING)
    claimed = [row for row in rows.order_by("pk") if row.epoch == epochs[row.pk]]
    pks = [row.pk for row in claimed]
    Agent.objects.filter(pk__in=pks).update(epoch=F("epoch") + 1, launched_at=now, **FRESH)
    for row in claimed:
        changes = {**FRESH, "epoch": row.epoch + 1, "launched_at": now, "token_hash": token_hashes[row.pk]}
        for name, value in changes.items():
            setattr(row, name, value)
    Agent.objects.bulk_update(claimed, ["token_hash"], batch_size=100)
    return claimed


def renew_token(*, agent: Agent, token_hash: str) -> bool:
    """A start that was cut off between claim and launch begins again with a token of its own."""
    return (
        Agent.objects.filter(pk=agent.pk, epoch=agent.epoch, state=State.STARTING, pid=None).update(
            token_hash=token_hash
        )
        == 1
    )


def pass_over_epoch(*, agent: Agent, now: datetime) -> bool:
    """The run directory of this epoch was used, but nothing ever ran in it: the next look starts the next epoch."""
    return (
        Agent.objects.filter(pk=agent.pk, epoch=agent.epoch, state=State.STARTING, pid=None).update(
            epoch=agent.epoch + 1, token_hash="", launched_at=now
        )
        == 1
    )


@transaction.atomic(savepoint=False)
def record_started(
    *,
    agent: Agent,
    pid: int,
    pid_started: int,
    boot_id: str,
    now: datetime,
    file_time: float | None = None,
) -> bool:
    """Its process was seen for the first time in this epoch. Its first heartbeat is when it wrote down its pid."""
    first_seen_at = told_by_file(file_time, earliest=agent.launched_at, now=now)
    rows = Agent.objects.filter(pk=agent.pk, epoch=agent.epoch, state=State.STARTING)
    fields: dict[str, object] = {
        "state": State.BUSY,
        "pid": pid,
        "pid_started": pid_started,
        "boot_id": boot_id,
        "first_seen_at": first_seen_at,
        "seen_at": now,
        "spawn_time": spawn_time(agent, first_seen_at),
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


def told_by_file(file_time: float | None, *, earliest: datetime | None, now: datetime) -> datetime:
    """When the launcher wrote, which nobody may have seen for a while. Between `earliest` and `now` in any case: an
    agent could set the file's time."""
    if file_time is None or earliest is None:
        return now
    return datetime.fromtimestamp(min(max(file_time, earliest.timestamp()), now.timestamp()), tz=UTC)


def spawn_time(agent: Agent, first_seen_at: datetime) -> timedelta | None:
    """What its first start took, kept through later ones."""
    if agent.spawn_time is not None or agent.released_at is None:
        return agent.spawn_time
    return max(first_seen_at - agent.released_at, timedelta(0))  # the two are clocks of two machines


@transaction.atomic
def record_sightings(*, sightings: Iterable[Sighting], seen: Iterable[int], now: datetime) -> None:
    """A heartbeat for all of `seen` in one statement, and what changed of some."""
    Agent.objects.filter(pk__in=list(seen), state__in=LIVE).update(seen_at=now)
    for sighting in sightings:
        Agent.objects.filter(pk=sighting.agent_pk, epoch=sighting.epoch, state__in=LIVE).update(
            **sighting.fields
        )


@transaction.atomic(savepoint=False)
def record_end(
    *,
    agent: Agent,
    ending: Ending,
    exit_code: int | None,
    max_restarts: int,
    now: datetime,
    fields: dict[str, object],
    file_time: float | None = None,
) -> bool:
    """How it ended, and when it wrote that down; its token is dead from here on. An agent that will be started again
    says when."""
    rows = Agent.objects.filter(pk=agent.pk, epoch=agent.epoch, state__in=LIVE)
    # Read anew: an operator may have asked for a stop or a restart since `agent` was.
    row = rows.select_for_update().only("desired", "restart_policy", "restarts", "restart_at").first()
    if row is None:
        return False
    again = restart_fields(row, ending, max_restarts, now)
    ended = rows.update(
        **(fields | again),
        state=ending.state,
        reason=ending.reason[:300],
        exit_code=exit_code,
        ended_at=told_by_file(file_time, earliest=agent.first_seen_at or agent.launched_at, now=now),
        token_hash="",
        processes=0,
        memory_bytes=None,
    )
    if ended != 1:
        return False
    data = {"epoch": agent.epoch, "exit_code": exit_code}
    text = f"{agent.name}: {ending.reason}"
    record(Fact(f"agent.{ending.state}", YARD, text, "agent", agent.pk, agent.name, data))
    return True


def restart_fields(row: Agent, ending: Ending, max_restarts: int, now: datetime) -> dict[str, object]:
    """When an agent that ends now starts again: as somebody asked, or by its policy, unless they asked for the end.
    Only a restart by the policy counts towards its limit."""
    if row.restart_at is not None or row.desired in (Desired.STOPPED, Desired.KILLED):
        return {"restart_at": row.restart_at}
    delay = restart_delay(
        policy=row.restart_policy, state=ending.state, restarts=row.restarts, limit=max_restarts
    )
    if delay is None:
        return {"restart_at": None}
    return {"restart_at": now + timedelta(seconds=delay), "restarts": F("restarts") + 1}
