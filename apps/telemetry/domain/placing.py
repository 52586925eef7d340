"""In which second a sample counts: when it ended, unless the clock that says so can't be right."""

from collections.abc import Iterable

from apps.telemetry.domain.sample import Sample
from apps.telemetry.domain.tally import Tally, tally_of

# As far as the live seconds reach back, so a late sample finds its second in every ring and every rollup. An
# agent that was cut off for longer has its samples counted when they arrive.
LATE_SECONDS = 300.0
# Clocks that are kept by NTP differ by less. Nothing is counted in the future: up to this, it counts as just ended.
EARLY_SECONDS = 2.0


def placed(samples: Iterable[Sample], arrival: float) -> dict[int, Tally]:
    """What these samples say, by the second in which it counts."""
    earliest, latest, now = arrival - LATE_SECONDS, arrival + EARLY_SECONDS, int(arrival)
    found: dict[int, list[Sample]] = {}
    corrected = 0
    for sample in samples:
        end = sample.end
        if end > arrival or end < earliest:
            corrected += not earliest <= end <= latest
            second = now
        else:
            second = int(end)
        together = found.get(second)
        if together is None:
            found[second] = [sample]
        else:
            together.append(sample)
    tallies = {second: tally_of(together) for second, together in found.items()}
    if corrected:
        tallies[now].corrected = corrected
    return tallies
