"""What waves do: make agents, give their preparation out, let them start."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction
from django.db.models import DurationField, ExpressionWrapper, F, Value
from django.db.models.functions import Coalesce

from apps.events.actions import Fact, record_all
from apps.events.domain.actor import YARD, Actor
from apps.events.hints import publish_on_commit
from apps.fleet.models import ENDED, UNSTARTED, Agent, Desired, Host, State


@dataclass(frozen=True, slots=True)
class AgentSpec:
    name: str
    group: str
    role: str
    preset: str
    memory_budget_mb: int
    restart_policy: str
    prompt: str = ""
    command: list[str] = field(default_factory=list)
    checkout_bytes: int = 0


def create_agents(*, specs: Sequence[AgentSpec], hosts: Sequence[Host]) -> list[Agent]:
    """Rows for agents that are only planned, spread over `hosts` in turn."""
    agents = [
        Agent(
            name=spec.name,
            group=spec.group,
            role=spec.role,
            preset=spec.preset,
            host=hosts[number % len(hosts)],
            command=spec.command,
            prompt=spec.prompt,
            memory_budget_mb=spec.memory_budget_mb,
            restart_policy=spec.restart_policy,
            checkout_bytes=spec.checkout_bytes,
        )
        for number, spec in enumerate(specs)
    ]
    return Agent.objects.bulk_create(agents, batch_size=500)


def move_planned(*, pks: Sequence[int], hosts: Sequence[Host]) -> None:
    """Agents that are only planned go to other hosts, in turn: nothing of them is anywhere yet."""
    for number, host in enumerate(hosts):
        theirs = pks[number :: len(hosts)]
        Agent.objects.filter(pk__in=theirs, state=State.PLANNED).update(host=host)


@transaction.atomic
def claim_for_preparation(pks: Iterable[int]) -> list[int]:
    """Of `pks`, those that were planned and are now being prepared, by this caller alone."""
    planned = Agent.objects.select_for_update().filter(pk__in=list(pks), state=State.PLANNED)
    claimed = list(planned.order_by("pk").values_list("pk", flat=True))
    Agent.objects.filter(pk__in=claimed).update(state=State.PREPARING)
    return claimed


def give_back(pks: Iterable[int]) -> int:
    """A preparation that was lost: planned again."""
    return Agent.objects.filter(pk__in=list(pks), state=State.PREPARING).update(state=State.PLANNED)


@dataclass(frozen=True, slots=True)
class Prepared:
    agent_pk: int
    workspace_path: str
    git_directory: str
    environment: dict[str, str] = field(default_factory=dict)
    view: list[list[str]] = field(default_factory=list)


@transaction.atomic
def mark_ready(prepared: Sequence[Prepared]) -> int:
    """Agents that were being prepared may start. Returns how many."""
    places = {each.agent_pk: each for each in prepared}
    rows = Agent.objects.select_for_update().filter(pk__in=places, state=State.PREPARING)
    agents = list(rows.order_by("pk").only("pk"))
    for agent in agents:
        agent.state, agent.reason = State.READY, ""
        agent.workspace_path = places[agent.pk].workspace_path
        agent.git_directory = places[agent.pk].git_directory
        agent.environment = places[agent.pk].environment
        agent.view = places[agent.pk].view
    fields = ["state", "reason", "workspace_path", "git_directory", "environment", "view"]
    Agent.objects.bulk_update(agents, fields, batch_size=100)
    return len(agents)


@transaction.atomic
def fail_preparation(*, agent: Agent, problem: str, now: datetime) -> None:
    rows = Agent.objects.filter(pk=agent.pk, state=State.PREPARING)
    reason = f"no workspace: {problem}"[:300]
    if rows.update(state=State.FAILED, reason=reason, ended_at=now) == 1:
        record_all([Fact("agent.failed", YARD, f"{agent.name}: {reason}", "agent", agent.pk, agent.name)])


@transaction.atomic
def release(*, agents: Sequence[Agent], now: datetime) -> int:
    """Let agents that are ready start. Returns how many."""
    pks = [agent.pk for agent in agents]
    waited = ExpressionWrapper(Value(now) - F("created_at"), output_field=DurationField())
    count = Agent.objects.filter(pk__in=pks, state=State.READY, desired=Desired.HELD).update(
        desired=Desired.RUNNING, released_at=now, queue_time=Coalesce("queue_time", waited)
    )
    for host_pk in {agent.host_id for agent in agents}:
        publish_on_commit("host", host_pk)
    return count


@transaction.atomic
def withdraw(*, agents: Sequence[Agent], reason: str, actor: Actor, now: datetime) -> int:
    """End agents that have not started. Returns how many."""
    gone = [
        agent
        for agent in agents
        if Agent.objects.filter(pk=agent.pk, state__in=UNSTARTED).update(
            state=State.EXITED, desired=Desired.STOPPED, reason=reason, ended_at=now, stop_requested_at=now
        )
    ]
    record_all(
        Fact("agent.stopped", actor, f"{agent.name}: {reason}", "agent", agent.pk, agent.name)
        for agent in gone
    )
    return len(gone)


def revive_for_retry(*, agent: Agent) -> bool:
    """A failed or lost agent is planned again: from its workspace if it has one, else from the start."""
    state = State.READY if agent.workspace_path else State.PLANNED
    rows = Agent.objects.filter(pk=agent.pk, state__in=ENDED, epoch=agent.epoch)
    return (
        rows.update(
            state=state,
            desired=Desired.HELD,
            reason="",
            ended_at=None,
            stop_requested_at=None,
            exit_code=None,
            restarts=0,
            restart_at=None,
        )
        == 1
    )
