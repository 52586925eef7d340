"""Samples on their way out: what waits, what is on the wire unacknowledged, what was lost and counted.

No clock: `now` is an argument, in seconds of any steady clock. No input or output but that of the spool it is given.
"""

from __future__ import annotations

from collections import deque

from agentkit.samples import MAX_SAMPLES, WINDOW, Sample, one_line

TYPE_CHECKING = False  # `typing` itself is a third of a client's start-up
if TYPE_CHECKING:
    from agentkit.spool import Spool


class Sent:
    """A frame without an acknowledgement. Its payload is kept, so that every resend is the same bytes."""

    __slots__ = ("payload", "samples", "sent_at", "seq", "status")

    def __init__(self, seq: int, samples: list[Sample], status: dict[str, str]) -> None:
        self.seq = seq
        self.samples = samples
        self.status = status
        self.payload = b""
        self.sent_at = 0.0


class Outbox:
    """At most `capacity` samples in memory. What comes beyond that goes to the spool in `spool_directory`; without
    one, or once it is full too, the oldest that wait are dropped, never those on the wire."""

    def __init__(
        self, *, capacity: int = 20_000, flush_after: float = 0.25, spool_directory: str | None = None
    ) -> None:
        self.window = WINDOW
        self.batch = MAX_SAMPLES
        self.acked = 0
        self.dropped = 0
        self._capacity = capacity
        self.flush_after = flush_after
        self._waiting: deque[Sample] = deque()
        self._sent: dict[int, Sent] = {}
        self._on_wire = 0
        self._seq = 0
        self._status: dict[str, str] = {}
        self._status_is_new = False
        self._oldest_at: float | None = None
        self._spool_directory = spool_directory
        self._spool: Spool | None = None
        self._spilling: list[Sample] = []  # behind the spool, until they are enough to be written

    def add(self, sample: Sample, now: float) -> bool:
        """Take a sample; true when the sender should wake up for it."""
        if self._spooled() or (self._is_full() and self._spool_directory):
            self._spill(sample)
        else:
            self._waiting.append(sample)
            if len(self._waiting) + self._on_wire > self._capacity:
                self._drop(1)
        if not self._waiting:
            return False
        return self._touch(now) or len(self._waiting) == self.batch

    def tell(self, at: float, /, **status: str | None) -> bool:
        """What the agent is doing (`now=`) and how (`state=`); it travels with the next frame."""
        told = {key: one_line(value) for key, value in status.items() if value is not None}
        if told.items() <= self._status.items():
            return False
        self._status |= told
        self._status_is_new = True
        return self._touch(at)

    def is_empty(self) -> bool:
        return not (self._waiting or self._sent or self._status_is_new)

    def left(self) -> int:
        """Samples that nobody acknowledged yet."""
        return len(self._waiting) + self._on_wire + self._spooled()

    def due_at(self, *, flushing: bool = False) -> float | None:
        """When the next frame wants to leave: None while nothing waits or the window is full."""
        if self._oldest_at is None or len(self._sent) >= self.window:
            return None
        if flushing or len(self._waiting) >= self.batch:
            return 0.0
        return self._oldest_at + self.flush_after

    def next_frame(self, now: float, *, flushing: bool = False) -> Sent | None:
        due = self.due_at(flushing=flushing)
        if due is None or due > now:
            return None
        samples = [self._waiting.popleft() for _ in range(min(self.batch, len(self._waiting)))]
        self._seq += 1
        sent = Sent(self._seq, samples, dict(self._status) if self._status_is_new else {})
        sent.sent_at = now
        self._sent[sent.seq] = sent
        self._on_wire += len(samples)
        self._status_is_new = False
        self._refill()
        self._oldest_at = now if self._waiting else None
        return sent

    def unacknowledged(self) -> list[Sent]:
        """In the order of their seq, which is the order to resend them in."""
        return list(self._sent.values())

    def oldest_sent_at(self) -> float | None:
        return min((sent.sent_at for sent in self._sent.values()), default=None)

    def acknowledge(self, seq: int) -> bool:
        """False for a seq that isn't on the wire: acknowledged before, or made up."""
        sent = self._sent.pop(seq, None)
        if sent is None:
            return False
        self._on_wire -= len(sent.samples)
        self.acked += len(sent.samples)
        self._refill()
        return True

    def give_up(self, seq: int) -> None:
        """Drop a frame that the gateway will never take, so that it doesn't block those behind it."""
        sent = self._sent.pop(seq, None)
        if sent is not None:
            self._on_wire -= len(sent.samples)
            self.dropped += len(sent.samples)
            self._refill()

    def _is_full(self) -> bool:
        return len(self._waiting) + self._on_wire >= self._capacity

    def _spooled(self) -> int:
        return len(self._spilling) + (self._spool.count if self._spool is not None else 0)

    def _spill(self, sample: Sample) -> None:
        self._spilling.append(sample)
        if len(self._spilling) < MAX_SAMPLES:
            return
        if self._spool is None:
            from agentkit.spool import Spool  # most clients never need it

            self._spool = Spool(self._spool_directory or "")
        while self._spilling and not self._spool.push(self._spilling):
            # The oldest go: from memory, which takes the oldest on disk instead, which makes room there.
            batch = self._next_spooled()
            self._waiting.extend(batch)
            self._drop(len(batch))
        self._spilling = []

    def _refill(self) -> None:
        """Brings back the oldest from the spool, as far as memory may hold them."""
        most = max(self._capacity, MAX_SAMPLES) - MAX_SAMPLES
        while self._spooled() and len(self._waiting) + self._on_wire <= most:
            self._waiting.extend(self._next_spooled())
        if self._waiting and self._oldest_at is None:
            self._oldest_at = 0.0  # they have waited long enough

    def _next_spooled(self) -> list[Sample]:
        if self._spool is not None and (held := self._spool.count):
            batch = self._spool.pull()
            self.dropped += held - self._spool.count - len(batch)  # what the disk didn't give back
            return batch
        batch, self._spilling = self._spilling, []
        return batch

    def _drop(self, count: int) -> None:
        for _ in range(count):
            self._waiting.popleft()
        self.dropped += count

    def _touch(self, now: float) -> bool:
        if self._oldest_at is not None:
            return False
        self._oldest_at = now
        return True
