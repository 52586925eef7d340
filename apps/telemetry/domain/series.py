"""One subject over time: tallies by the second for 5 minutes, by 10 s for an hour, by 300 s for a day."""

from bisect import bisect_left
from collections.abc import Iterator
from itertools import chain
from operator import itemgetter

from apps.telemetry.domain.tally import Tally, total

SECOND, TEN, SPAN = 1, 10, 300
LENGTHS = {SECOND: 300, TEN: 360, SPAN: 288}
COARSER = {SECOND: TEN, TEN: SPAN}

# Clients send several times a second, so most of what is late is late by a second or two: seconds stay open so long.
OPEN_SECONDS = 3


def floor_to(at: float, step: int) -> int:
    return int(at // step) * step


def ceil_to(at: float, step: int) -> int:
    return -floor_to(-at, step)


class Ring:
    """Tallies of closed stretches of `step` seconds by their start, oldest first. What is added to one that was
    frozen thaws it, until the next `freeze`."""

    __slots__ = ("_thawed", "entries", "step")

    def __init__(self, step: int) -> None:
        self.step = step
        self.entries: list[tuple[int, Tally]] = []
        self._thawed: dict[int, Tally] = {}

    def add(self, second: int, tally: Tally) -> None:
        """Adds to the stretch that `second` lies in, wherever that is. `tally` stays the caller's."""
        start = floor_to(second, self.step)
        entries = self.entries
        place = (
            bisect_left(entries, start, key=itemgetter(0))
            if entries and entries[-1][0] >= start
            else len(entries)
        )
        if place < len(entries) and entries[place][0] == start:
            found = entries[place][1]
            found.merge(tally)
        else:
            found = total([tally])
            entries.insert(place, (start, found))
        self._thawed[start] = found

    def put(self, second: int, tally: Tally) -> None:
        """As `add`, but `tally` is the ring's from now on. The quick way for what comes in order of time."""
        start = floor_to(second, self.step)
        if self.entries and self.entries[-1][0] >= start:
            self.add(second, tally)
            return
        self.freeze()
        self.entries.append((start, tally))
        self._thawed[start] = tally

    def freeze(self) -> None:
        for tally in self._thawed.values():
            tally.sketch.freeze()
        self._thawed.clear()

    def drop_before(self, second: int) -> None:
        del self.entries[: bisect_left(self.entries, second, key=itemgetter(0))]

    def between(self, start: int, end: int) -> list[tuple[int, Tally]]:
        """Oldest first."""
        first, last = (bisect_left(self.entries, at, key=itemgetter(0)) for at in (start, end))
        return self.entries[first:last]

    def since(self, start: int) -> Iterator[tuple[int, Tally]]:
        """Newest first."""
        for entry in reversed(self.entries):
            if entry[0] < start:
                return
            yield entry


class Series:
    """The last few seconds are open; `close_before` moves them into the rings, and ten of them at once into the
    coarser ones. What comes later than that goes into all rings. Windows end at a whole second."""

    __slots__ = ("_open", "_ten", "_ten_at", "rings")

    def __init__(self) -> None:
        self.rings = {step: Ring(step) for step in LENGTHS}
        self._open: dict[int, Tally] = {}
        self._ten: Tally | None = None
        self._ten_at = 0

    def at(self, second: int) -> Tally:
        """A tally to add to now, before the next `close_before`: of this second, however late it is."""
        tally = self._open.get(second)
        if tally is None:
            tally = self._open[second] = Tally()
        return tally

    def close_before(self, now: int) -> None:
        """Closes what is older than the open seconds before this one."""
        border = now - OPEN_SECONDS
        if self._open:
            for second in sorted(second for second in self._open if second < border):
                self._close(second, self._open.pop(second))
        if self._ten is not None and self._ten_at < floor_to(border, TEN):
            self._close_ten()
        for ring in self.rings.values():
            ring.freeze()

    def drop_old(self, now: float) -> None:
        for step, ring in self.rings.items():
            ring.drop_before(floor_to(now, step) - step * LENGTHS[step])

    def restore(self, step: int, start: int, tally: Tally) -> None:
        """Puts back what a rollup kept, best in order of time, into the ring of `step`."""
        self.rings[step].put(start, tally)

    def window(self, start: int, end: int, step: int) -> Iterator[Tally]:
        """Tallies that together hold everything from `start` (a multiple of `step`) to before the second `end`,
        which is open. Coarse ones as far as they reach, so that an hour takes dozens of merges and not hundreds."""
        coarse = COARSER.get(step)
        newest = (tally for second, tally in self._open.items() if start <= second < end)
        ten = [self._ten] if self._ten is not None else []
        if coarse is None:
            return chain((tally for _, tally in self.rings[step].since(start)), ten, newest)
        border = ceil_to(start, coarse)
        edge = (tally for at, tally in self.rings[step].since(start) if at < border)
        return chain(edge, (tally for _, tally in self.rings[coarse].since(border)), ten, newest)

    def between(self, start: int, end: int) -> Iterator[tuple[int, Tally]]:
        """By second; what came late may be a second part of one."""
        late = ((second, tally) for second, tally in self._open.items() if start <= second < end)
        return chain(self.rings[SECOND].between(start, end), late)

    def not_over(self, end: int) -> Iterator[Tally]:
        """What lies beyond a window that ends there."""
        return (tally for second, tally in self._open.items() if second >= end)

    def since(self, step: int, start: int) -> Iterator[tuple[int, Tally]]:
        """Everything from `start` on, by stretches of `step` seconds; one may come in several parts."""
        yield from self.rings[step].since(start)
        newest = list(self._open.items())
        if step != SECOND and self._ten is not None:
            newest.append((self._ten_at, self._ten))
        for second, tally in newest:
            at = floor_to(second, step)
            if at >= start:
                yield at, tally

    def _close(self, second: int, tally: Tally) -> None:
        self.rings[SECOND].put(second, tally)
        start = floor_to(second, TEN)
        if self._ten is not None and start < self._ten_at:
            self.rings[TEN].add(start, tally)
            self.rings[SPAN].add(start, tally)
            return
        if self._ten is not None and start > self._ten_at:
            self._close_ten()
        if self._ten is None:
            self._ten, self._ten_at = Tally(), start
        self._ten.merge(tally)

    def _close_ten(self) -> None:
        closed, self._ten = self._ten, None
        if closed is not None:
            self.rings[SPAN].add(self._ten_at, closed)
            self.rings[TEN].put(self._ten_at, closed)
