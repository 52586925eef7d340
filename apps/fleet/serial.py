"""Agents and hosts as data, for the API and for `--json`: one shape."""

from dataclasses import asdict
from typing import Any

from django.utils import timezone

from apps.fleet.domain.spending import Spending
from apps.fleet.models import Agent, Host
from apps.fleet.spending import spending_of

AGENT_FIELDS = (
    "name", "group", "role", "capabilities", "preset", "state", "desired", "reason", "activity", "epoch",
    "restarts", "pid", "exit_code", "workspace_path", "memory_budget_mb", "memory_bytes", "processes",
    "tokens_in", "tokens_out", "cache_read", "cache_creation", "cost_usd", "session_id", "created_at", "launched_at",
    "first_seen_at", "seen_at", "output_at", "ended_at",
)  # fmt: skip
HOST_FIELDS = (
    "name", "draining", "heartbeat_at", "logical_cpus", "physical_cpus", "usable_cpus", "load_1", "memory_total",
    "memory_available", "memory_pressure", "cpu_pressure", "io_pressure", "disk_total", "disk_free",
    "equipment",
)  # fmt: skip


def agent_data(agent: Agent, spending: Spending | None = None) -> dict[str, Any]:
    """`spending`: where it is known already, as for many agents at once."""
    found = {"id": agent.pk, "host": agent.host.name} | {name: getattr(agent, name) for name in AGENT_FIELDS}
    return found | asdict(spending or spending_of(agent))


def host_data(host: Host) -> dict[str, Any]:
    health = str(host.health(timezone.now()))
    return {"id": host.pk, "health": health} | {name: getattr(host, name) for name in HOST_FIELDS}
