"""Waves on a real repository, moved on by the test itself: it plays the worker, the scheduler and the host."""

from datetime import timedelta

from django.utils import timezone

from apps.access.exceptions import NotAllowed
from apps.events.domain.actor import Actor, Role
from apps.events.models import Event
from apps.fleet.models import Agent, Host, State
from apps.waves import actions, advance
from apps.waves.domain.request import WaveRequest
from apps.waves.jobs import prepare_job
from apps.waves.models import Member
from apps.workspaces.actions import add_repository

__all__ = ["OPERATOR", "VIEWER", "NotAllowed", "Waves"]

MB = 1024 * 1024
OPERATOR = Actor("user", "olga", Role.OPERATOR)
VIEWER = Actor("user", "vera", Role.VIEWER)


def make_host(name="local", **overrides):
    """A host with room for everything."""
    fields = {
        "heartbeat_at": timezone.now(),
        "memory_available": 64_000 * MB,
        "memory_pressure": 0.0,
        "disk_free": 500_000 * MB,
    }
    return Host.objects.create(name=name, **(fields | overrides))


class Waves:
    def __init__(self, source, monkeypatch):
        self.jobs = []
        self.ahead = timedelta()
        for module in (actions, advance):
            monkeypatch.setattr(module, "enqueue", self.enqueue)
        self.host = make_host()
        self.repository = add_repository(path_or_url=str(source), actor=OPERATOR, now=self.now())

    def now(self):
        return timezone.now() + self.ahead

    def enqueue(self, queue, door, *arguments, on_failure=None):
        if door.endswith("prepare_job"):
            self.jobs.append((queue, *arguments))

    def request(self, **overrides):
        fields = {
            "repository": "project",
            "preset": "command",
            "agents": 4,
            "command": ["true"],
            "pause_ms": 0,
        }
        return WaveRequest(**(fields | overrides))

    def start(self, *, actor=OPERATOR, **overrides):
        return actions.start_wave(request=self.request(**overrides), actor=actor, now=self.now())

    def do(self, verb, wave, *, actor=OPERATOR, **values):
        action = getattr(actions, f"{verb}_wave")
        if verb == "scale":
            values.setdefault("size", 2)
        return action(wave=wave, actor=actor, now=self.now(), **values)

    def tick(self, wave):
        """One round of the scheduler."""
        Host.objects.update(heartbeat_at=self.now())
        advance.advance_wave(wave.pk, self.now())
        wave.refresh_from_db()
        return wave

    def prepare(self):
        """What waits in the queues is done."""
        while self.jobs:
            _, attempts = self.jobs.pop(0)
            prepare_job(attempts)

    def make_ready(self, wave):
        """All that may be prepared ahead is prepared, without making checkouts."""
        self.tick(wave)
        self.jobs.clear()
        self.agents(wave).filter(state=State.PREPARING).update(state=State.READY, workspace_path="/workspace")
        return self.tick(wave)

    def come_up(self, wave, **overrides):
        """Agents that were let start run."""
        rows = self.agents(wave).filter(state=State.READY, desired="running")
        fields = {"state": State.BUSY, "epoch": 1, "launched_at": self.now(), "first_seen_at": self.now()}
        rows.update(**(fields | overrides))
        return self.tick(wave)

    def running(self, **overrides):
        """A wave all of whose agents run."""
        wave = self.start(**({"step_size": 0} | overrides))
        self.make_ready(wave)
        return self.come_up(wave)

    def ended(self, wave, state=State.EXITED, **overrides):
        self.agents(wave).live().update(
            **({"state": state, "ended_at": self.now(), "exit_code": 0} | overrides)
        )
        return self.tick(wave)

    def agents(self, wave):
        return Agent.objects.filter(member__wave=wave)

    def states(self, wave):
        """Each member's state, by step: ["busy busy", "ready ready"]."""
        steps = {}
        for step, state in Member.objects.filter(wave=wave).values_list("step", "agent__state"):
            steps.setdefault(step, []).append(state)
        return [" ".join(states) for _, states in sorted(steps.items())]

    def kinds(self, wave):
        return list(Event.objects.about("wave", wave.pk).order_by("id").values_list("kind", flat=True))
