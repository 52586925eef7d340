"""Hosts and agents as admission sees them."""

from datetime import datetime

from django.db.models import Q

from apps.capacity.domain.admission import MB, Reading, Running
from apps.fleet.domain.health import Health
from apps.fleet.models import LIVE, Agent, Desired, Host, State


def reading_of(host: Host, now: datetime) -> Reading | None:
    """What the host last said of itself; None when that is too old to count on."""
    if host.memory_available is None or host.disk_free is None or not answers(host, now):
        return None
    return Reading(host.memory_available, host.memory_pressure, host.disk_free)


def answers(host: Host, now: datetime) -> bool:
    return host.health(now) not in (Health.FAILED, Health.UNKNOWN)


def hosts_for_agents(now: datetime) -> list[Host]:
    """Hosts that take new agents: those that answer; when none does, all that are not draining."""
    hosts = list(Host.objects.filter(draining=False).order_by("name"))
    return [host for host in hosts if answers(host, now)] or hosts


def promised_to(host: Host) -> list[Running]:
    """Agents that run on the host or were let in to start there."""
    let_in = Q(state__in=LIVE) | Q(state=State.READY, desired=Desired.RUNNING)
    rows = Agent.objects.filter(let_in, host=host).values_list("memory_budget_mb", "memory_bytes")
    return [Running(budget=budget * MB, used=used or 0) for budget, used in rows]
