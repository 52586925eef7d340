"""Rows of hosts and agents, as small as a test needs them."""

from itertools import count

from django.utils import timezone

from apps.fleet.models import Agent, Host

numbers = count(1)


def make_host(**overrides):
    fields = {"name": "local", "heartbeat_at": timezone.now(), "boot_id": "boot"}
    return Host.objects.create(**(fields | overrides))


def make_agent(**overrides):
    fields = {"name": f"w1/agent-{next(numbers):02d}", "group": "w1", "preset": "command"}
    if "host" not in overrides:
        fields["host"] = Host.objects.first() or make_host()
    return Agent.objects.create(**(fields | overrides))
