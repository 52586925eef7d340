"""Hosts and agents as admission sees them."""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Q

from apps.capacity.domain.admission import MB, Admission, Reading, Request, Running, admit
from apps.capacity.limits import configured_limits
from apps.fleet.domain.health import Health
from apps.fleet.models import LIVE, Agent, Desired, Host, State


def reading_of(host: Host, now: datetime) -> Reading | None:
    """What the host last said of itself; None when that is too old to count on."""
    if host.memory_available is None or host.disk_free is None or not answers(host, now):
        return None
    return Reading(host.memory_available, host.memory_pressure, host.disk_free)


def answers(host: Host, now: datetime) -> bool:
    return host.health(now) not in (Health.FAILED, Health.UNKNOWN)


def closed(host: Host, now: datetime) -> str:
    """Why nothing starts on this host whatever memory it has, as what an agent waits for; "" when it is open."""
    if host.draining:
        return f"host {host.name}, which drains"
    if host.heartbeat_at is not None and not answers(host, now):
        return f"host {host.name}, which doesn't answer: is `runhost` running there?"
    return ""


def admission(host: Host, budgets_mb: Sequence[int], now: datetime) -> Admission:
    """How many of these agents, in order, may start on the host. All that starts an agent asks here; whoever then
    lets them start holds the lock on the host's row, so that nobody else is promised the same memory."""
    if not budgets_mb:
        return Admission(0)
    if why := closed(host, now):
        return Admission(0, why)
    requests = [Request(memory=budget * MB) for budget in budgets_mb]
    return admit(reading_of(host, now), promised_to(host), requests, configured_limits())


def hosts_for_agents(now: datetime) -> list[Host]:
    """Hosts that take new agents: those that answer; when none does, all that are not draining."""
    hosts = list(Host.objects.filter(draining=False).order_by("name"))
    return [host for host in hosts if answers(host, now)] or hosts


def promised_to(host: Host) -> list[Running]:
    """Agents that run on the host or were let in to start there."""
    let_in = Q(state__in=LIVE) | Q(state=State.READY, desired=Desired.RUNNING)
    rows = Agent.objects.filter(let_in, host=host).values_list("memory_budget_mb", "memory_bytes")
    return [Running(budget=budget * MB, used=used or 0) for budget, used in rows]
