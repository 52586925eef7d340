"""A mergeable percentile sketch: DDSketch with sparse buckets (Masson, Rim, Lee, VLDB 2019).

Values fall into buckets whose bounds grow by the factor GAMMA; a bucket answers with the value that is at
most ERROR away, relatively, from everything in it. Counts add up, so a merge equals the sketch of all values.
"""

import math
import struct
from collections import Counter
from collections.abc import Iterable, Sequence

ERROR = 0.00999  # a little below 1 %, so that rounding at a bucket's edge stays within 1 %
GAMMA = (1 + ERROR) / (1 - ERROR)
LOG_GAMMA = math.log(GAMMA)
CENTRE = 2 / (1 + GAMMA)  # times a bucket's upper bound: equally far, relatively, from both of its bounds

SMALLEST = 1e-6  # below it a value counts as zero; in milliseconds that is one nanosecond
LARGEST = 1e12
VERSION = 1
HEADER = struct.Struct("<BBHQ")  # version, width of a count, buckets, zeros
WIDTHS = {"B": 0xFF, "H": 0xFFFF, "I": 0xFFFFFFFF, "Q": 0xFFFFFFFFFFFFFFFF}
NO_BINS: dict[int, int] = {}  # shared by all frozen sketches, never written to


class Sketch:
    """Counts by bucket. `freeze` keeps the compact form alone; the next `add` thaws it."""

    __slots__ = ("_bins", "_frozen", "_zeros")

    def __init__(self) -> None:
        self._zeros = 0
        self._bins: dict[int, int] = {}
        self._frozen: bytes | None = None

    def add(self, value: float, count: int = 1) -> None:
        """Raises ValueError for what is negative, larger than LARGEST, or not a number."""
        if not 0 <= value <= LARGEST:
            raise ValueError(f"{value!r} can't be summarised: it must be a number from 0 to {LARGEST:g}.")
        self._thaw()
        if value < SMALLEST:
            self._zeros += count
            return
        index = math.ceil(math.log(value) / LOG_GAMMA)
        self._bins[index] = self._bins.get(index, 0) + count

    def add_all(self, values: Sequence[float]) -> None:
        """The same as `add` for each, at a third of the cost. All of them or, when it raises ValueError, none."""
        if not values:
            return
        if not (min(values) >= 0 and max(values) <= LARGEST and math.isfinite(sum(values))):
            raise ValueError(f"these can't be summarised: they must be numbers from 0 to {LARGEST:g}.")
        self._thaw()
        log, ceil = math.log, math.ceil
        found = Counter([ceil(log(value) / LOG_GAMMA) for value in values if value >= SMALLEST])
        bins = self._bins
        self._zeros += len(values) - found.total()
        for index, count in found.items():
            bins[index] = bins.get(index, 0) + count

    def merge(self, other: "Sketch") -> None:
        self._thaw()
        self._zeros += other._zeros
        bins = self._bins
        if other._frozen is None:
            pairs: Iterable[tuple[int, int]] = other._bins.items()
        else:
            _, indexes, counts = other._content()
            pairs = zip(indexes, counts, strict=True)
        if not bins:
            bins.update(pairs)
            return
        known = bins.get
        for index, count in pairs:
            bins[index] = known(index, 0) + count

    def quantiles(self, *wanted: float) -> list[float | None]:
        """The values at these ranks (0 to 1, ascending), by nearest rank; None without values."""
        zeros, indexes, counts = self._content()
        ordered = sorted(zip(indexes, counts, strict=True))
        total = zeros + sum(counts)
        if not total:
            return [None] * len(wanted)
        found: list[float | None] = []
        steps = iter(ordered)
        seen, index = zeros, None
        for rank in (max(1, math.ceil(quantile * total - 1e-9)) for quantile in wanted):
            while seen < rank:
                index, count = next(steps)
                seen += count
            found.append(0.0 if index is None else CENTRE * math.exp(index * LOG_GAMMA))
        return found

    @property
    def count(self) -> int:
        zeros, _, counts = self._content()
        return zeros + sum(counts)

    def counts_up_to(self, bounds: Sequence[float]) -> list[int]:
        """How many values lie at or below each of these bounds, which ascend and are above 0. As with quantiles, a
        value may be taken for one that is up to ERROR away, so one so close to a bound may count on its other side."""
        zeros, indexes, counts = self._content()
        ordered = sorted(zip(indexes, counts, strict=True))
        found, seen, place = [], zeros, 0
        for bound in bounds:
            highest = math.log(bound / CENTRE) / LOG_GAMMA
            while place < len(ordered) and ordered[place][0] <= highest:
                seen += ordered[place][1]
                place += 1
            found.append(seen)
        return found

    def freeze(self) -> None:
        if self._frozen is None:
            self._frozen = self.to_bytes()
            self._bins = NO_BINS

    def to_bytes(self) -> bytes:
        """Header, then bucket numbers (16 bits each) in order, then counts as wide as the largest needs."""
        if self._frozen is not None:
            return self._frozen
        indexes = sorted(self._bins)
        counts = [self._bins[index] for index in indexes]
        width = next(code for code, most in WIDTHS.items() if max(counts, default=0) <= most)
        header = HEADER.pack(VERSION, ord(width), len(indexes), self._zeros)
        return header + struct.pack(f"<{len(indexes)}h{len(indexes)}{width}", *indexes, *counts)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Sketch":
        """Raises ValueError for anything but what `to_bytes` of this version gave."""
        sketch = cls()
        sketch._frozen, sketch._bins = bytes(data), NO_BINS
        try:
            width, buckets, sketch._zeros = _header(sketch._frozen)
        except struct.error as error:
            raise ValueError(f"not a sketch: {error}") from error
        if len(data) != HEADER.size + buckets * (2 + struct.calcsize(f"<{width}")):
            raise ValueError("not a sketch: of another length than it says itself.")
        return sketch

    def _content(self) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
        """Zeros, bucket numbers and their counts."""
        if self._frozen is None:
            return self._zeros, tuple(self._bins), tuple(self._bins.values())
        width, buckets, zeros = _header(self._frozen)
        numbers = struct.unpack_from(f"<{buckets}h{buckets}{width}", self._frozen, HEADER.size)
        return zeros, numbers[:buckets], numbers[buckets:]

    def _thaw(self) -> None:
        if self._frozen is not None:
            self._zeros, indexes, counts = self._content()
            self._bins = dict(zip(indexes, counts, strict=True))
            self._frozen = None


def _header(data: bytes) -> tuple[str, int, int]:
    """Width of a count, buckets, zeros."""
    version, width, buckets, zeros = HEADER.unpack_from(data)
    if version != VERSION or chr(width) not in WIDTHS:
        raise ValueError(f"a sketch of version {version} can't be read; this is version {VERSION}.")
    return chr(width), buckets, zeros
