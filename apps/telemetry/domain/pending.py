"""What was read from the stream and isn't in the database yet: by ten seconds of arrival, in order."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from apps.telemetry.domain.live import Gauge
from apps.telemetry.domain.sample import Reading
from apps.telemetry.domain.series import TEN, floor_to
from apps.telemetry.domain.subjects import Labels
from apps.telemetry.domain.tally import Tally

EntryId = tuple[int, int]  # milliseconds, and a number within them: how Redis orders a stream


@dataclass(slots=True)
class Work:
    """What one agent did and used, by the second in which it counts."""

    agent: int
    labels: Labels
    seconds: dict[int, Tally] = field(default_factory=dict)

    def at(self, second: int) -> Tally:
        tally = self.seconds.get(second)
        if tally is None:
            tally = self.seconds[second] = Tally()
        return tally


@dataclass(slots=True)
class Slot:
    """Ten seconds of all agents by arrival, and the last stream entry that is in it. `gauges`: what other subjects
    used, by second."""

    start: int
    last_id: EntryId
    works: dict[int, Work] = field(default_factory=dict)
    gauges: dict[int, Mapping[str, Gauge]] = field(default_factory=dict)

    @property
    def end(self) -> int:
        return self.start + TEN

    def work(self, agent: int, labels: Labels) -> Work:
        work = self.works.get(agent)
        if work is None:
            work = self.works[agent] = Work(agent, labels)
        elif labels != work.labels:
            work.labels = labels.or_else(work.labels)
        return work


class Pending:
    def __init__(self) -> None:
        self._slots: deque[Slot] = deque()

    def add(
        self,
        entry_id: EntryId,
        *,
        agent: int,
        labels: Labels,
        parts: Mapping[int, Tally],
        at: float | None = None,
    ) -> None:
        """`at`: arrival in unix seconds, which never goes back; None: as the id says."""
        work = self.seen(entry_id, at).work(agent, labels)
        for second, tally in parts.items():
            work.at(second).merge(tally)

    def read(self, entry_id: EntryId, readings: Iterable[Reading], at: float | None = None) -> None:
        slot, second = self.seen(entry_id, at), int(entry_id[0] / 1000 if at is None else at)
        for reading in readings:
            slot.work(reading.agent, reading.labels).at(second).read(reading.memory, reading.cpu_cores)

    def gauge(self, second: int, gauges: Mapping[str, Gauge]) -> None:
        """Goes with the slot of that second; where nothing is to be written, it isn't worth a write either."""
        for slot in reversed(self._slots):
            if slot.start <= second:
                slot.gauges[second] = gauges
                return

    def seen(self, entry_id: EntryId, at: float | None = None) -> Slot:
        """The slot of this entry, which from now on counts as dealt with once the slot is written."""
        start = floor_to(entry_id[0] / 1000 if at is None else at, TEN)
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
