"""What happened in one stretch of time: counts, sums and a sketch. Tallies add up."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from apps.telemetry.domain.sample import Sample
from apps.telemetry.domain.sketch import Sketch

OTHER = "other"
MAX_WAIT_KINDS = 12
MAX_GROUPS = 24


@dataclass(slots=True)
class Tally:
    """`operations` counts every outcome. `memory` is the highest reading. Lock waits are in `wait_ms` as a
    whole and in `waits` by kind; `groups` (operations by wave) is filled for the yard as a whole alone."""

    operations: int = 0
    errors: int = 0
    induced: int = 0
    duration_ms: float = 0.0
    wait_ms: float = 0.0
    max_ms: float = 0.0
    memory: int = 0
    waits: dict[str, float] | None = None
    groups: dict[str, int] | None = None
    sketch: Sketch = field(default_factory=Sketch)

    def add_all(self, samples: Sequence[Sample]) -> None:
        """Column by column: what loops over samples in C takes a third of what a loop of ours takes."""
        if not samples:
            return
        durations = [sample.ms for sample in samples]
        outcomes = [sample.outcome for sample in samples]
        self.operations += len(samples)
        self.errors += outcomes.count("error")
        self.induced += outcomes.count("induced")
        self.duration_ms += sum(durations)
        self.max_ms = max(self.max_ms, *durations)
        self.memory = max(self.memory, *[sample.memory for sample in samples])
        self.sketch.add_all(durations)
        for sample in samples:
            if sample.wait_ms:
                self.wait_ms += sample.wait_ms
                self.add_wait(sample.wait_kind or OTHER, sample.wait_ms)

    def add_wait(self, kind: str, wait_ms: float) -> None:
        if self.waits is None:
            self.waits = {}
        kind = _bounded(kind, self.waits, MAX_WAIT_KINDS)
        self.waits[kind] = self.waits.get(kind, 0.0) + wait_ms

    def add_group(self, group: str, operations: int) -> None:
        if self.groups is None:
            self.groups = {}
        group = _bounded(group, self.groups, MAX_GROUPS)
        self.groups[group] = self.groups.get(group, 0) + operations

    def merge(self, other: "Tally") -> None:
        self.operations += other.operations
        self.errors += other.errors
        self.induced += other.induced
        self.duration_ms += other.duration_ms
        self.wait_ms += other.wait_ms
        self.max_ms = max(self.max_ms, other.max_ms)
        self.memory = max(self.memory, other.memory)
        for kind, wait_ms in (other.waits or {}).items():
            self.add_wait(kind, wait_ms)
        for group, operations in (other.groups or {}).items():
            self.add_group(group, operations)
        self.sketch.merge(other.sketch)


def tally_of(samples: Sequence[Sample]) -> Tally:
    tally = Tally()
    tally.add_all(samples)
    return tally


def total(tallies: Iterable[Tally]) -> Tally:
    result = Tally()
    for tally in tallies:
        result.merge(tally)
    return result


def _bounded(name: str, known: dict[str, float] | dict[str, int], most: int) -> str:
    """The name itself, or OTHER once there are `most` names beside it."""
    return name if name in known or len(known) < most else OTHER
