"""Hosts and agents as admission sees them."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db.models import Q

from apps.capacity.domain.admission import MB, Admission, Reading, Request, Running, admit, admit_checkouts
from apps.capacity.limits import configured_limits, log_bytes
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


def to_start(agents: Iterable[Agent]) -> list[Request]:
    """What agents ask for that are prepared: their checkouts are on the disk already."""
    return [Request(memory=agent.memory_budget_mb * MB, disk=log_bytes()) for agent in agents]


def to_prepare_and_start(*, budget_mb: int, checkout_bytes: int) -> Request:
    return Request(memory=budget_mb * MB, disk=checkout_bytes + log_bytes())


def admission(host: Host, requests: Sequence[Request], now: datetime) -> Admission:
    """How many of these agents, in order, may start on the host. All that starts an agent asks here; whoever then
    lets them start holds the lock on the host's row, so that nobody else is promised the same memory."""
    if not requests:
        return Admission(0)
    if why := closed(host, now):
        return Admission(0, why)
    return admit(reading_of(host, now), promised_to(host), requests, configured_limits())


def admission_of_checkouts(host: Host, sizes: Sequence[int], now: datetime) -> Admission:
    """How many agents with checkouts of these sizes, in order, may be prepared on the host."""
    if why := closed(host, now):
        return Admission(0, why)
    needs = [size + log_bytes() for size in sizes]
    return admit_checkouts(reading_of(host, now), promised_to(host), needs, configured_limits())


def hosts_for_agents(now: datetime) -> list[Host]:
    """Hosts that take new agents: those that answer; when none does, all that are not draining."""
    hosts = list(Host.objects.filter(draining=False).order_by("name"))
    return [host for host in hosts if answers(host, now)] or hosts


def promised_to(host: Host) -> list[Running]:
    """Agents that run on the host or were let in to start there, and those whose checkouts are being made. What was
    written since the host's last reading is seen by neither: that is a part of what the reserve is for."""
    let_in = Q(state__in=LIVE) | Q(state=State.READY, desired=Desired.RUNNING)
    rows = Agent.objects.filter(let_in, host=host)
    most = log_bytes()
    running = [
        Running(budget=budget * MB, used=used or 0, disk=max(0, most - printed))
        for budget, used, printed in rows.values_list("memory_budget_mb", "memory_bytes", "output_offset")
    ]
    # Part of it may be written already. It counts whole: nobody knows how much.
    making = Agent.objects.filter(host=host, state=State.PREPARING).values_list("checkout_bytes", flat=True)
    return running + [Running(budget=0, used=0, disk=size) for size in making]
