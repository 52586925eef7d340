"""What is kept of the samples: totals for good, rollups for a while. Agents are numbers: fleet lies above."""

from typing import ClassVar

from django.db import models

TEN_SECONDS, FIVE_MINUTES = 10, 300


class Counted(models.Model):
    """What was counted; the same in a rollup and in a total."""

    agent = models.BigIntegerField()
    group = models.CharField(max_length=200, blank=True)
    role = models.CharField(max_length=200, blank=True)
    operations = models.BigIntegerField(default=0)
    errors = models.BigIntegerField(default=0)
    induced = models.BigIntegerField(default=0)
    duration_ms = models.FloatField(default=0.0)
    wait_ms = models.FloatField(default=0.0)

    class Meta:
        abstract = True


class RollupQuerySet(models.QuerySet["Rollup"]):
    def between(self, resolution: int, start: int, end: int) -> "RollupQuerySet":
        """Rollups that start at or after `start` and before `end`, in order of time."""
        found = self.filter(resolution=resolution, start__gte=start, start__lt=end)
        return found.order_by("start", "agent")


class Rollup(Counted):
    """One agent in the `resolution` seconds from `start` (unix seconds), by time of arrival."""

    resolution = models.PositiveSmallIntegerField()
    start = models.BigIntegerField()
    max_ms = models.FloatField(default=0.0)
    memory = models.BigIntegerField(default=0)  # bytes, the highest that was read or reported
    cpu = models.FloatField(default=0.0)  # cores, summed over `readings`
    readings = models.IntegerField(default=0)
    sketch = models.BinaryField()  # of durations, as `Sketch.to_bytes` gives it

    objects: ClassVar = RollupQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["resolution", "start", "agent"], name="one_rollup_a_stretch"),
        ]

    def __str__(self) -> str:
        return f"agent {self.agent}, {self.resolution} s from {self.start}"


class RollupWait(models.Model):
    """Lock wait of one kind in the stretch that a rollup covers."""

    agent = models.BigIntegerField()
    resolution = models.PositiveSmallIntegerField()
    start = models.BigIntegerField()
    kind = models.CharField(max_length=64)
    wait_ms = models.FloatField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["resolution", "start", "agent", "kind"], name="one_wait_a_kind_and_stretch"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind}: {self.wait_ms} ms of agent {self.agent} from {self.start}"


class AgentTotal(Counted):
    """Everything that an agent ever reported, up to the checkpoint."""

    agent = models.BigIntegerField(unique=True)

    def __str__(self) -> str:
        return f"agent {self.agent}: {self.operations} operations"


class Checkpoint(models.Model):
    """How far the stream is in the rows above. It moves in the transaction that writes them, so a sample is
    counted once whatever dies in between."""

    stream = models.CharField(max_length=64, unique=True)
    last_id = models.CharField(max_length=48)
    until = models.FloatField(default=0.0)  # all that was acknowledged before then is counted; unix seconds

    def __str__(self) -> str:
        return f"{self.stream} up to {self.last_id}"
