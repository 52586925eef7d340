"""What was read from the stream and isn't in the database yet: ten-second buckets per agent, in order."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from apps.telemetry.domain.sample import Reading
from apps.telemetry.domain.series import TEN, floor_to
from apps.telemetry.domain.tally import Tally

EntryId = tuple[int, int]  # milliseconds, and a number within them: how Redis orders a stream


@dataclass(slots=True)
class Bucket:
    """What one agent did in the ten seconds from `start`, and how it was read meanwhile."""

    agent: int
    group: str
    role: str
    start: int
    tally: Tally = field(default_factory=Tally)
    cpu: float = 0.0
    readings: int = 0


@dataclass(slots=True)
class Slot:
    """Ten seconds of all agents, and the last stream entry that is in it."""

    start: int
    last_id: EntryId
    buckets: dict[int, Bucket] = field(default_factory=dict)

    @property
    def end(self) -> int:
        return self.start + TEN


class Pending:
    def __init__(self) -> None:
        self._slots: deque[Slot] = deque()

    def add(self, entry_id: EntryId, *, agent: int, group: str, role: str, tally: Tally) -> None:
        self._bucket(self.seen(entry_id), agent, group, role).tally.merge(tally)

    def read(self, entry_id: EntryId, readings: Iterable[Reading]) -> None:
        slot = self.seen(entry_id)
        for reading in readings:
            bucket = self._bucket(slot, reading.agent, reading.group, reading.role)
            bucket.tally.memory = max(bucket.tally.memory, reading.memory)
            bucket.cpu += reading.cpu_cores
            bucket.readings += 1

    def seen(self, entry_id: EntryId) -> Slot:
        """The slot of this entry, which from now on counts as dealt with once the slot is written."""
        start = floor_to(entry_id[0] / 1000, TEN)
        if not self._slots or self._slots[-1].start < start:
            self._slots.append(Slot(start, entry_id))
        slot = self._slots[-1]
        slot.last_id = entry_id
        return slot

    def closed(self, before: float) -> list[Slot]:
        """Slots that end by then, oldest first. They stay until `drop`, so a failed write is tried again."""
        return [slot for slot in self._slots if slot.end <= before]

    def drop(self, slots: list[Slot]) -> None:
        """Forgets what `closed` gave, once it is written."""
        for _ in slots:
            self._slots.popleft()

    def _bucket(self, slot: Slot, agent: int, group: str, role: str) -> Bucket:
        bucket = slot.buckets.get(agent)
        if bucket is None:
            bucket = slot.buckets[agent] = Bucket(agent, group, role, slot.start)
        bucket.group, bucket.role = group, role
        return bucket
