"""Rows of hosts and agents, as small as a test needs them."""

from itertools import count

from django.utils import timezone

from apps.fleet.models import Agent, Host

MB = 1024 * 1024
numbers = count(1)


def make_host(**overrides):
    """One that answers and has room for everything."""
    fields = {
        "name": "local",
        "heartbeat_at": timezone.now(),
        "boot_id": "boot",
        "memory_available": 64_000 * MB,
        "memory_pressure": 0.0,
        "disk_free": 500_000 * MB,
    }
    return Host.objects.create(**(fields | overrides))


def make_agent(**overrides):
    fields = {"name": f"w1/agent-{next(numbers):02d}", "group": "w1", "preset": "command"}
    if "host" not in overrides:
        fields["host"] = Host.objects.first() or make_host()
    return Agent.objects.create(**(fields | overrides))
