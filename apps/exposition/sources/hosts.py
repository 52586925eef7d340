"""Hosts, as they last reported, and how many agents each has."""

from datetime import datetime

from django.db.models import Count

from apps.exposition import metrics
from apps.exposition.page import Page
from apps.fleet.models import Agent, Host, State
from apps.fleet.readings import answers

SHOWN = 200
PERCENT = 100
READINGS = (
    (metrics.HOST_CPUS, "usable_cpus"),
    (metrics.HOST_LOAD, "load_1"),
    (metrics.HOST_MEMORY, "memory_total"),
    (metrics.HOST_MEMORY_AVAILABLE, "memory_available"),
    (metrics.HOST_DISK, "disk_total"),
    (metrics.HOST_DISK_FREE, "disk_free"),
)


def collect(page: Page, now: datetime) -> list[str]:
    """Returns the names of the hosts that are shown."""
    counts = counts_by_host()
    hosts = list(Host.objects.defer("equipment").order_by("name")[:SHOWN])
    for host in hosts:
        for state in State:
            page.put(metrics.AGENTS, counts.get((host.pk, state), 0), host.name, state)
        collect_host(page, host, now)
    return [host.name for host in hosts]


def counts_by_host() -> dict[tuple[int, str], int]:
    """Read off an index that holds no more than this."""
    rows = Agent.objects.order_by().values_list("host_id", "state").annotate(Count("pk"))
    return {(host, state): count for host, state, count in rows}


def collect_host(page: Page, host: Host, now: datetime) -> None:
    up = answers(host, now)
    page.put(metrics.HOST_UP, float(up), host.name)
    page.put(metrics.HOST_DRAINING, float(host.draining), host.name)
    if host.heartbeat_at is not None:
        page.put(metrics.HOST_HEARTBEAT_AGE, max(0.0, (now - host.heartbeat_at).total_seconds()), host.name)
    if not up:
        return  # what it said last is no reading of now
    for metric, field in READINGS:
        page.put(metric, getattr(host, field), host.name)
    for resource in ("memory", "cpu", "io"):
        percent = getattr(host, f"{resource}_pressure")
        page.put(metrics.HOST_PRESSURE, None if percent is None else percent / PERCENT, host.name, resource)
