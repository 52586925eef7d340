from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Field, Router, Schema

from apps.access.api_auth import actor_of
from apps.fleet import logs
from apps.fleet.actions.operate import VERBS, drain_host
from apps.fleet.models import Agent, Host
from apps.fleet.places import run_dir
from apps.fleet.serial import AGENT_FIELDS, agent_data, host_data
from apps.fleet.spending import by_model, ledger_of

Verb = Literal["pause", "resume", "stop", "kill", "restart"]
agents = Router(tags=["agents"])
hosts = Router(tags=["hosts"])
spending = Router(tags=["spending"])
LOG_LIMIT = 1_000_000


class AgentOut(Schema):
    id: int
    host: str
    name: str
    group: str
    role: str
    capabilities: list[str]
    preset: str
    state: str
    desired: str
    reason: str
    activity: str
    epoch: int
    restarts: int
    pid: int | None
    exit_code: int | None = Field(description="as a shell reports it: 128+N for signal N")
    workspace_path: str
    memory_budget_mb: int
    memory_bytes: int | None
    processes: int | None
    tokens_in: int | None = Field(
        description="neither read from nor written to a cache; none: nobody told of it"
    )
    tokens_out: int | None
    cache_read: int | None
    cache_creation: int | None
    cost_usd: float | None = Field(
        description="as it reckons it: the higher of what it measured and what it printed"
    )
    session_id: str
    created_at: datetime
    launched_at: datetime | None
    first_seen_at: datetime | None
    seen_at: datetime | None
    output_at: datetime | None
    ended_at: datetime | None


class LogOut(Schema):
    offset: int = Field(description="of the first byte in `text`, counted from the start of the output")
    next_offset: int
    skipped: int = Field(description="bytes that were asked for and are not kept any more")
    text: str


class SpentOut(Schema):
    """Counts of tokens that don't overlap, and cost. None: nobody told of it."""

    tokens_in: int | None
    tokens_out: int | None
    cache_read: int | None
    cache_creation: int | None
    cost_usd: float | None


class SpendingOut(Schema):
    whole: SpentOut
    waves: dict[str, SpentOut] = Field(description="by label")
    models: dict[str, SpentOut] = Field(description='by name; "" for what nobody named a model for')


class HostOut(Schema):
    id: int
    name: str
    health: str
    draining: bool
    heartbeat_at: datetime | None
    logical_cpus: int | None
    physical_cpus: int | None
    usable_cpus: float | None
    load_1: float | None
    memory_total: int | None
    memory_available: int | None
    memory_pressure: float | None
    cpu_pressure: float | None
    io_pressure: float | None
    disk_total: int | None
    disk_free: int | None
    equipment: dict[str, Any] | None


class DrainIn(Schema):
    draining: bool


@agents.get("", response=list[AgentOut], summary="List agents")
def list_agents(request: HttpRequest, wave: str = "", state: str = "", limit: int = 1000) -> Any:
    # Not the long texts of ten thousand agents.
    rows = Agent.objects.select_related("host").only("host__name", *AGENT_FIELDS).order_by("pk")
    if wave:
        rows = rows.filter(group=wave)
    if state:
        rows = rows.filter(state=state)
    found = list(rows[: max(1, min(limit, 10_000))])
    ledger = ledger_of(Agent.objects.filter(pk__in=[agent.pk for agent in found]))
    return [agent_data(agent, ledger.of(agent.pk)) for agent in found]


@agents.get("/{int:pk}", response=AgentOut, summary="Show an agent")
def show_agent(request: HttpRequest, pk: int) -> Any:
    return agent_data(find(pk))


@agents.get(
    "/{int:pk}/log", response=LogOut, summary="Read what it printed; a negative offset counts from the end"
)
def read_log(request: HttpRequest, pk: int, offset: int = -65_536, limit: int = 65_536) -> Any:
    directory = run_dir(find(pk))
    start = offset if offset >= 0 else max(0, logs.total(directory) + offset)
    chunk = logs.read(directory, start, max(1, min(limit, LOG_LIMIT)))
    text = chunk.data.decode("utf-8", "replace")
    return {"offset": chunk.offset, "next_offset": chunk.next_offset, "skipped": chunk.skipped, "text": text}


@agents.post("/{int:pk}/{verb}", response=AgentOut, summary="Pause, resume, stop, kill or restart an agent")
def steer_agent(request: HttpRequest, pk: int, verb: Verb) -> Any:
    return agent_data(VERBS[verb](agent=find(pk), actor=actor_of(request), now=timezone.now()))


@spending.get(
    "", response=SpendingOut, summary="Tokens and cost of all agents, or of one wave's, by wave and by model"
)
def show_spending(request: HttpRequest, wave: str = "") -> Any:
    chosen = Agent.objects.filter(group=wave) if wave else Agent.objects.all()
    ledger = ledger_of(chosen)
    models = by_model(ledger.whole, chosen if wave else None)
    return {
        "whole": asdict(ledger.whole),
        "waves": {label: asdict(each) for label, each in sorted(ledger.waves.items())},
        "models": {name: asdict(each) for name, each in models.items()},
    }


@hosts.get("", response=list[HostOut], summary="List hosts")
def list_hosts(request: HttpRequest) -> Any:
    return [host_data(host) for host in Host.objects.order_by("name")]


@hosts.post("/{name}/drain", response=HostOut, summary="Give a host no new agents, or open it again")
def drain(request: HttpRequest, name: str, body: DrainIn) -> Any:
    host = get_object_or_404(Host, name=name)
    return host_data(drain_host(host=host, draining=body.draining, actor=actor_of(request)))


def find(pk: int) -> Agent:
    return get_object_or_404(Agent.objects.select_related("host"), pk=pk)
