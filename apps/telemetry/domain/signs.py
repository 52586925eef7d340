"""When an agent was heard of, and the most memory it was seen to use then."""

from array import array
from collections.abc import Iterator

from apps.telemetry.domain.series import LENGTHS, floor_to


class Signs:
    """Stretches with any sign of life (sample, heartbeat, reading) and the highest memory of each, in bytes.
    Numbers in arrays, as there is one for every second of every agent."""

    __slots__ = ("_rings",)

    def __init__(self) -> None:
        self._rings = {step: (array("q"), array("q")) for step in LENGTHS}

    def add(self, second: int, memory: int) -> None:
        """Signs come in order of time."""
        for step in LENGTHS:
            self.keep(step, second, memory)

    def keep(self, step: int, second: int, memory: int) -> None:
        """Marks the stretch of `step` seconds that `second` lies in."""
        starts, peaks = self._rings[step]
        start = floor_to(second, step)
        if starts and starts[-1] >= start:
            peaks[-1] = max(peaks[-1], memory)
            return
        starts.append(start)
        peaks.append(memory)

    def since(self, step: int, start: int) -> Iterator[tuple[int, int]]:
        """Starts of stretches and their memory, oldest first."""
        starts, peaks = self._rings[step]
        return ((at, peak) for at, peak in zip(starts, peaks, strict=True) if at >= start)

    def drop_old(self, now: float) -> None:
        for step, (starts, peaks) in self._rings.items():
            oldest = floor_to(now, step) - step * LENGTHS[step]
            old = next((place for place, at in enumerate(starts) if at >= oldest), len(starts))
            del starts[:old], peaks[:old]
