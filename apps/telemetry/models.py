"""What is kept of the samples: totals for good, rollups for a while. Agents are numbers: fleet lies above."""

from typing import ClassVar

from django.db import models

from apps.telemetry.measure_models import AgentMeasureTotal as AgentMeasureTotal
from apps.telemetry.measure_models import AgentModelTotal as AgentModelTotal
from apps.telemetry.measure_models import RollupMeasure as RollupMeasure


class RollupQuerySet(models.QuerySet["Rollup"]):
    def between(self, resolution: int, start: int, end: int) -> "RollupQuerySet":
        """Rows that start at or after `start` and before `end`, in order of time."""
        found = self.filter(resolution=resolution, start__gte=start, start__lt=end)
        return found.order_by("start", "subject")


class Rollup(models.Model):
    """What one subject (`agent:12`, `wave:w3`, `yard`, …) did, in stretches of `resolution` seconds, from `start` (unix
    seconds) on. `domain/rolling.py` says how many stretches a row holds, `domain/packing.py` how."""

    subject = models.CharField(max_length=220)
    resolution = models.PositiveSmallIntegerField()
    start = models.BigIntegerField()
    operations = models.BigIntegerField(default=0)
    cells = models.BinaryField()

    objects: ClassVar = RollupQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["subject", "resolution", "start"], name="one_row_of_a_subject"),
        ]
        indexes = [models.Index(fields=["resolution", "start"], name="rollup_by_time")]

    def __str__(self) -> str:
        return f"{self.subject}, by {self.resolution} s from {self.start}"


class AgentTotal(models.Model):
    """Everything that an agent ever reported, up to the checkpoint, and what it belonged to at last."""

    agent = models.BigIntegerField(unique=True)
    group = models.CharField(max_length=200, blank=True)
    role = models.CharField(max_length=200, blank=True)
    host = models.CharField(max_length=200, blank=True)
    repository = models.CharField(max_length=200, blank=True)
    operations = models.BigIntegerField(default=0)
    errors = models.BigIntegerField(default=0)
    induced = models.BigIntegerField(default=0)
    corrected = models.BigIntegerField(default=0, help_text="samples whose clock was off")
    duration_ms = models.FloatField(default=0.0)
    wait_ms = models.FloatField(default=0.0)

    def __str__(self) -> str:
        return f"agent {self.agent}: {self.operations} operations"


class GroupTotal(models.Model):
    """Everything that the agents of one wave and role ever reported, up to the checkpoint, with its durations as a
    sketch: what a histogram that only ever grows is read from."""

    group = models.CharField(max_length=200, blank=True)
    role = models.CharField(max_length=200, blank=True)
    operations = models.BigIntegerField(default=0)
    errors = models.BigIntegerField(default=0)
    induced = models.BigIntegerField(default=0)
    corrected = models.BigIntegerField(default=0, help_text="samples whose clock was off")
    duration_ms = models.FloatField(default=0.0)
    wait_ms = models.FloatField(default=0.0)
    sketch = models.BinaryField()  # of durations, as `Sketch.to_bytes` gives it

    class Meta:
        constraints = [models.UniqueConstraint(fields=["group", "role"], name="one_total_a_group_and_role")]

    def __str__(self) -> str:
        return f"{self.role} of {self.group}: {self.operations} operations"


class Checkpoint(models.Model):
    """How far the stream is in the rows above. It moves in the transaction that writes them, so a sample is
    counted once whatever dies in between."""

    stream = models.CharField(max_length=64, unique=True)
    last_id = models.CharField(max_length=48)
    until = models.FloatField(default=0.0)  # all that was acknowledged before then is counted; unix seconds

    def __str__(self) -> str:
        return f"{self.stream} up to {self.last_id}"
