"""In which second a sample counts: when it ended, unless the clock that says so can't be right."""

from collections.abc import Sequence

from apps.telemetry.domain.sample import Sample
from apps.telemetry.domain.tally import Tally, tally_of

# As far as the live seconds reach back, so a late sample finds its second in every ring and every rollup. An
# agent that was cut off for longer has its samples counted when they arrive.
LATE_SECONDS = 300.0
# Clocks that are kept by NTP differ by less. Nothing is counted in the future: up to this, it counts as just ended.
EARLY_SECONDS = 2.0


class Placing:
    """Samples by the second in which each counts. All of them arrived within one second, in one frame or in several."""

    def __init__(self) -> None:
        self._seconds: dict[int, list[Sample]] = {}
        self._corrected = 0
        self._now = 0

    def add(self, samples: Sequence[Sample], arrival: float) -> None:
        if not samples:
            return
        self._now = int(arrival)
        ends = [sample.end for sample in samples]
        first, last = min(ends), max(ends)
        if arrival - LATE_SECONDS <= first and last <= arrival and int(first) == int(last):  # nearly always
            self._at(int(first)).extend(samples)
        else:
            self._add_each(samples, arrival)

    def tallies(self) -> dict[int, Tally]:
        tallies = {second: tally_of(together) for second, together in self._seconds.items()}
        if self._corrected:
            tallies[self._now].corrected = self._corrected
        return tallies

    def _add_each(self, samples: Sequence[Sample], arrival: float) -> None:
        earliest, latest = arrival - LATE_SECONDS, arrival + EARLY_SECONDS
        for sample in samples:
            end = sample.end
            if earliest <= end <= arrival:
                self._at(int(end)).append(sample)
            else:
                self._corrected += not earliest <= end <= latest
                self._at(self._now).append(sample)

    def _at(self, second: int) -> list[Sample]:
        together = self._seconds.get(second)
        if together is None:
            together = self._seconds[second] = []
        return together


def placed(samples: Sequence[Sample], arrival: float) -> dict[int, Tally]:
    """What the samples of one frame say, by the second in which it counts."""
    placing = Placing()
    placing.add(samples, arrival)
    return placing.tallies()
