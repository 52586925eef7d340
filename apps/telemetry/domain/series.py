"""One subject over time: tallies by the second for 5 minutes, by 10 s for an hour, by 300 s for a day."""

from collections import deque
from collections.abc import Iterator
from itertools import chain

from apps.telemetry.domain.tally import Tally, total

SECOND, TEN, SPAN = 1, 10, 300
LENGTHS = {SECOND: 300, TEN: 360, SPAN: 288}
COARSER = {SECOND: TEN, TEN: SPAN}


def floor_to(at: float, step: int) -> int:
    return int(at // step) * step


def ceil_to(at: float, step: int) -> int:
    return -floor_to(-at, step)


class Ring:
    """Tallies of closed stretches of `step` seconds by their start, oldest first."""

    __slots__ = ("entries", "step")

    def __init__(self, step: int) -> None:
        self.step = step
        self.entries: deque[tuple[int, Tally]] = deque()

    def push(self, second: int, tally: Tally) -> None:
        """Adds to the stretch that `second` lies in. Stretches come in order."""
        start = floor_to(second, self.step)
        if self.entries and self.entries[-1][0] >= start:
            last = self.entries[-1][1]
            last.merge(tally)
            last.sketch.freeze()
            return
        tally.sketch.freeze()
        self.entries.append((start, tally))

    def drop_before(self, second: int) -> None:
        while self.entries and self.entries[0][0] < second:
            self.entries.popleft()

    def since(self, start: int) -> Iterator[tuple[int, Tally]]:
        """Newest first."""
        for entry in reversed(self.entries):
            if entry[0] < start:
                return
            yield entry


class Series:
    """The current second is open; `close_before` moves it into the rings. Windows end at a whole second."""

    __slots__ = ("_second", "_second_at", "_ten", "_ten_at", "rings")

    def __init__(self) -> None:
        self.rings = {step: Ring(step) for step in LENGTHS}
        self._second: Tally | None = None
        self._second_at = 0
        self._ten: Tally | None = None
        self._ten_at = 0

    def open(self, second: int) -> Tally:
        """The tally of this second, to add to."""
        self.close_before(second)
        if self._second is None:
            self._second, self._second_at = Tally(), second
        return self._second

    def close_before(self, second: int) -> None:
        if self._second is not None and self._second_at < second:
            closed, self._second = self._second, None
            self.rings[SECOND].push(self._second_at, closed)
            self._into_ten(self._second_at, closed)
        if self._ten is not None and self._ten_at < floor_to(second, TEN):
            self._close_ten()

    def drop_old(self, now: float) -> None:
        for step, ring in self.rings.items():
            ring.drop_before(floor_to(now, step) - step * LENGTHS[step])

    def restore(self, step: int, start: int, tally: Tally, *, fold: bool) -> None:
        """Puts back what a rollup kept. Each step in order, and before anything newer is added.
        `fold`: no coarser rollup holds it, so it goes into the coarser ring as well."""
        if fold:
            self.rings[COARSER[step]].push(start, total([tally]))
        self.rings[step].push(start, tally)

    def window(self, start: int, step: int) -> Iterator[Tally]:
        """Tallies that together hold everything from `start` (a multiple of `step`) to the last closed
        second. Coarse ones as far as they reach, so that an hour takes dozens of merges and not hundreds."""
        newest = [self._ten] if self._ten is not None else []
        coarse = COARSER.get(step)
        if coarse is None:
            return chain((tally for _, tally in self.rings[step].since(start)), newest)
        border = ceil_to(start, coarse)
        edge = (tally for at, tally in self.rings[step].since(start) if at < border)
        return chain(edge, (tally for _, tally in self.rings[coarse].since(border)), newest)

    def _into_ten(self, second: int, tally: Tally) -> None:
        start = floor_to(second, TEN)
        if self._ten is not None and self._ten_at < start:
            self._close_ten()
        if self._ten is None:
            self._ten, self._ten_at = Tally(), start
        self._ten.merge(tally)

    def _close_ten(self) -> None:
        closed, self._ten = self._ten, None
        if closed is not None:
            self.rings[SPAN].push(self._ten_at, total([closed]))
            self.rings[TEN].push(self._ten_at, closed)
