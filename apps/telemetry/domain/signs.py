"""When an agent was heard of, and the most memory it was seen to use then."""

from array import array
from bisect import bisect_left
from collections.abc import Iterator

from apps.telemetry.domain.series import LENGTHS, floor_to


class Signs:
    """Stretches with any sign of life (sample, heartbeat, reading) and the highest memory of each, in bytes.
    Numbers in arrays, as there is one for every second of every agent."""

    __slots__ = ("_rings",)

    def __init__(self) -> None:
        self._rings = {step: (array("q"), array("q")) for step in LENGTHS}

    def add(self, second: int, memory: int) -> None:
        for step in LENGTHS:
            self.keep(step, second, memory)

    def keep(self, step: int, second: int, memory: int) -> None:
        """Marks the stretch of `step` seconds that `second` lies in."""
        starts, peaks = self._rings[step]
        start = floor_to(second, step)
        place = bisect_left(starts, start) if starts and starts[-1] >= start else len(starts)
        if place < len(starts) and starts[place] == start:
            peaks[place] = max(peaks[place], memory)
            return
        starts.insert(place, start)
        peaks.insert(place, memory)

    def since(self, step: int, start: int) -> Iterator[tuple[int, int]]:
        """Starts of stretches and their memory, oldest first."""
        starts, peaks = self._rings[step]
        first = bisect_left(starts, start)
        return zip(starts[first:], peaks[first:], strict=True)

    def starts(self, step: int) -> "array[int]":
        """Of all stretches with a sign, in order; not to be changed."""
        return self._rings[step][0]

    def count(self, step: int, start: int, end: int) -> int:
        """Stretches with a sign that begin at or after `start` and before `end`."""
        starts = self._rings[step][0]
        return bisect_left(starts, end) - bisect_left(starts, start)

    def drop_old(self, now: float) -> None:
        for step, (starts, peaks) in self._rings.items():
            old = bisect_left(starts, floor_to(now, step) - step * LENGTHS[step])
            del starts[:old], peaks[:old]
