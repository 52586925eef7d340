from django.db import models

from apps.fleet.models import Agent, RestartPolicy
from apps.workspaces.models import Repository


class WaveState(models.TextChoices):
    RUNNING = "running"
    PAUSED = "paused"
    ABORTING = "aborting"
    ABORTED = "aborted"
    DONE = "done", "done"
    FAILED = "failed"


OPEN = (WaveState.RUNNING, WaveState.PAUSED, WaveState.ABORTING)


class WaveQuerySet(models.QuerySet["Wave"]):
    def open(self) -> "WaveQuerySet":
        return self.filter(state__in=OPEN)


class Wave(models.Model):
    """A plan to spawn `size` agents of one preset on one repository, step by step."""

    label = models.CharField(max_length=40, unique=True, help_text="w12")
    title = models.CharField(max_length=120, blank=True)
    repository = models.ForeignKey(Repository, on_delete=models.PROTECT, related_name="waves")
    base_commit = models.CharField(max_length=64)
    preset = models.CharField(max_length=40)
    role = models.CharField(max_length=40, default="coder")
    prompt = models.TextField(blank=True)
    command = models.JSONField(default=list)
    size = models.PositiveIntegerField(help_text="agents wanted")
    step_size = models.PositiveIntegerField(
        default=20, help_text="agents that start together; 0: all at once"
    )
    pause_ms = models.PositiveIntegerField(default=10, help_text="between steps")
    memory_budget_mb = models.PositiveIntegerField(default=400)
    restart_policy = models.CharField(max_length=10, choices=RestartPolicy, default=RestartPolicy.LOST)

    state = models.CharField(max_length=10, choices=WaveState, default=WaveState.RUNNING)
    reason = models.CharField(max_length=300, blank=True, help_text="why it paused or failed")
    waiting_for = models.CharField(max_length=300, blank=True, help_text="what the next step waits for")
    created_by = models.CharField(max_length=150)
    # NULL rather than "": any number of waves may have no key.
    idempotency_key = models.CharField(max_length=100, null=True, unique=True)  # noqa: DJ001
    request_hash = models.CharField(
        max_length=64, blank=True, help_text="of all that was asked for: the same key must ask for the same"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    gate_passed = models.PositiveIntegerField(
        default=0, help_text="steps below this one start whatever the health before them"
    )
    step_at = models.DateTimeField(null=True, help_text="when the last step was released")
    ended_at = models.DateTimeField(null=True)

    objects = WaveQuerySet.as_manager()

    def __str__(self) -> str:
        return self.label

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    @property
    def is_short_of_room(self) -> bool:
        """Whether it waits for a host's room, which is named first, and not just for its own next step."""
        return self.state == WaveState.RUNNING and ": " in self.waiting_for

    def can(self, verb: str) -> bool:
        """Whether an operator's verb (pause, resume, abort, scale, retry) makes sense now."""
        if verb == "pause":
            return self.state == WaveState.RUNNING
        if verb == "resume":
            return self.state == WaveState.PAUSED
        if verb == "abort":
            return self.state in (WaveState.RUNNING, WaveState.PAUSED)
        if verb == "scale":
            return self.state != WaveState.ABORTING
        return verb == "retry" and self.state != WaveState.ABORTING


class Member(models.Model):
    """An agent's place in its wave."""

    wave = models.ForeignKey(Wave, on_delete=models.CASCADE, related_name="members")
    agent = models.OneToOneField(Agent, on_delete=models.PROTECT, related_name="member")
    number = models.PositiveIntegerField(help_text="1, 2, 3, …")
    step = models.PositiveIntegerField(help_text="0-based: number of its step")
    prepare_by = models.DateTimeField(
        null=True, help_text="after this its preparation counts as lost and is given out again"
    )
    prepare_attempts = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["wave", "number"], name="one_member_per_number")]

    def __str__(self) -> str:
        return f"{self.wave_id}:{self.number}"
