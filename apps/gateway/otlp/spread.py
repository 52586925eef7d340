"""How the values of a histogram are spread: counts by a value that stands for each bucket, in its middle."""

from bisect import bisect
from collections.abc import Sequence
from itertools import pairwise

from apps.telemetry.domain.sketch import LARGEST, Sketch

Spread = dict[float, int]

MAX_BUCKETS = 320  # twice what SDKs send at most
MAX_COUNT = 2**40
LARGEST_EXPONENT = 39.0  # 2 ** 39 is below the largest value of a sketch, 1e12


class NoSpread(ValueError):
    """A histogram that can't be summarised. The text says why."""


def of_buckets(bounds: Sequence[float], counts: Sequence[int]) -> Spread:
    """Of a histogram with bounds of its own. Values above the last bound count as that bound, whose distance nobody
    knows. Empty without bounds: its one bucket says nothing of where values lie."""
    if len(counts) > MAX_BUCKETS:
        raise NoSpread(f"a histogram may have {MAX_BUCKETS} buckets")
    if counts and len(counts) != len(bounds) + 1:
        raise NoSpread("a histogram needs one bucket more than bounds")
    if any(not low < high for low, high in pairwise(bounds)) or any(map(_odd, bounds)):
        raise NoSpread("the bounds of a histogram must be numbers in order")
    if not bounds:
        return {}
    found: Spread = {}
    for place, count in enumerate(counts):
        if count:
            high = bounds[min(place, len(bounds) - 1)]
            if high < 0:
                raise NoSpread("values below 0 can't be summarised")
            low = max(0.0, bounds[place - 1]) if 0 < place < len(bounds) else 0.0
            _add(found, high if place == len(bounds) else (low + high) / 2 if high else 0.0, count)
    return found


def of_exponential(scale: int, zeros: int, offset: int, counts: Sequence[int]) -> Spread:
    """Of a histogram whose bounds are powers of 2 ** (2 ** -scale)."""
    if len(counts) > MAX_BUCKETS or not -20 <= scale <= 30:
        raise NoSpread(f"an exponential histogram may have {MAX_BUCKETS} buckets and a scale from -20 to 30")
    found: Spread = {}
    _add(found, 0.0, zeros)
    for place, count in enumerate(counts, start=offset):
        if count:
            exponent = (place + 0.5) * 2.0**-scale
            _add(found, 2.0 ** max(-LARGEST_EXPONENT, min(exponent, LARGEST_EXPONENT)), count)
    return found


def difference(now: Spread, before: Spread) -> Spread:
    """What came on top, as many values as there are more now. What was in a bucket that is gone is in the nearest one,
    as when two were joined; where that can't be, the counts of neighbours make up for each other."""
    places = sorted(now)
    left = dict(now)
    for value, count in before.items() if places else ():
        left[value if value in now else _nearest(places, value)] -= count
    found: Spread = {}
    carried = 0
    for value in places:
        carried += left[value]
        if carried > 0:
            found[value], carried = carried, 0
    for value in sorted(found, reverse=True):
        taken = min(found[value], -carried)
        found[value] -= taken
        carried += taken
    return {value: count for value, count in found.items() if count}


def _nearest(places: Sequence[float], value: float) -> float:
    """By ratio, as buckets grow with their values."""
    above = bisect(places, value)
    if above == 0 or above == len(places):
        return places[min(above, len(places) - 1)]
    low, high = places[above - 1], places[above]
    return low if low and value / low <= high / value else high


def total(spread: Spread) -> float:
    """About the sum of the values, for who doesn't send it."""
    return sum(value * count for value, count in spread.items())


def sketch_of(spread: Spread) -> Sketch:
    sketch = Sketch()
    for value, count in spread.items():
        sketch.add(min(value, LARGEST), count)
    return sketch


def _add(into: Spread, value: float, count: int) -> None:
    if count > MAX_COUNT:
        raise NoSpread(f"a bucket may count to {MAX_COUNT:,}")
    if count:
        into[value] = into.get(value, 0) + count


def _odd(bound: float) -> bool:
    return not -LARGEST <= bound <= LARGEST
