"""What is kept of the measures. Agents are numbers: fleet lies above."""

from django.db import models


class Measurement(models.Model):
    """What was reported under one name; the same in a rollup and in a total."""

    agent = models.BigIntegerField()
    name = models.CharField(max_length=64)
    unit = models.CharField(max_length=16, blank=True)
    shape = models.CharField(max_length=8)  # "sum", "gauge" or "values"
    amount = models.FloatField(default=0.0)  # of a gauge the last, else the sum
    count = models.BigIntegerField(default=0)  # of values

    class Meta:
        abstract = True


class RollupMeasure(Measurement):
    """One agent in the `resolution` seconds from `start` (unix seconds), by time of arrival."""

    resolution = models.PositiveSmallIntegerField()
    start = models.BigIntegerField()
    sketch = models.BinaryField(default=b"")  # of values, as `Sketch.to_bytes` gives it

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["resolution", "start", "agent", "name"], name="one_measure_a_name_and_stretch"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name}: {self.amount} of agent {self.agent} from {self.start}"


class AgentMeasureTotal(Measurement):
    """All that an agent ever reported under one name, up to the checkpoint."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["agent", "name"], name="one_total_an_agent_and_name"),
        ]

    def __str__(self) -> str:
        return f"{self.name}: {self.amount} of agent {self.agent}"


class AgentModelTotal(models.Model):
    """How much of a total (tokens, cost) one model used, where the agent names its models."""

    agent = models.BigIntegerField()
    model = models.CharField(max_length=64)
    name = models.CharField(max_length=64)
    amount = models.FloatField(default=0.0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["agent", "model", "name"], name="one_total_an_agent_model_and_name"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name}: {self.amount} of agent {self.agent} by {self.model}"
