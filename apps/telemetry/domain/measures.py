"""What agents report besides operations: tokens, cost, lines of code, latencies, and whatever else they name."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from apps.telemetry.domain.sample import Kind
from apps.telemetry.domain.sketch import Sketch
from apps.telemetry.domain.tally import OTHER, added_up

# Those that mean the same for all agents; they have a place of their own.
WELL_KNOWN = frozenset(
    {
        *("tokens.input", "tokens.output", "tokens.cache_read", "tokens.cache_write", "cost_usd"),
        *("tool.latency", "tool.errors", "model.latency", "model.errors"),
        *("sessions", "commits", "pull_requests", "lines.added", "lines.removed", "active_s"),
    }
)
MAX_NAMES = 64  # of one agent besides these; a measure under any further name only counts as one more OTHER
MAX_SHOWN = 24  # of these in a snapshot, in the order of the alphabet
MAX_AMOUNT = 1e15
MAX_UNIT = 16
MAX_NAME = 64
MAX_MODELS = 16  # of one agent; what any further one used counts as used by OTHER

Shape = Literal["sum", "gauge", "values"]
# Both bounds, as they refuse NaN and infinity as well.
Amount = Annotated[float, Meta(ge=-MAX_AMOUNT, le=MAX_AMOUNT)]
Count = Annotated[int, Meta(ge=0, le=2**53)]

_NOT_OF_A_NAME = re.compile(r"[^a-z0-9_.:\-]+")
_NOT_OF_A_MODEL = re.compile(r"[^a-z0-9_.:/@+\[\]\-]+")


class Measure(msgspec.Struct, array_like=True, gc=False):
    """As it lies in the stream. Of a sum `amount` is what came on top, of a gauge what it stands at, of values their
    sum; `count` says how many values there are and `sketch` how they are spread. `models`: how much of the amount each
    model used."""

    name: Kind
    unit: Annotated[str, Meta(max_length=MAX_UNIT)]
    shape: Shape
    amount: Amount
    count: Count = 0
    sketch: bytes = b""
    models: Annotated[
        dict[Annotated[str, Meta(max_length=MAX_NAME)], Amount], Meta(max_length=MAX_MODELS + 1)
    ] = {}


@dataclass(slots=True)
class Measured:
    """Measures of one name added up. A gauge keeps the last. `models`: None where nobody says."""

    unit: str
    shape: Shape
    amount: float = 0.0
    count: int = 0
    sketch: Sketch | None = None
    models: dict[str, float] | None = None

    def merge(self, later: "Measured") -> None:
        if later.shape != self.shape:
            # The agent changed its mind: two kinds of figures don't add up.
            self.shape, self.amount, self.count = later.shape, 0.0, 0
            self.sketch = self.models = None
        self.unit = later.unit
        self.amount = later.amount if self.shape == "gauge" else self.amount + later.amount
        self.count += later.count
        self.models = added_up(self.models, later.models, MAX_MODELS)
        if later.sketch is not None:
            if self.sketch is None:
                self.sketch = Sketch()
            self.sketch.merge(later.sketch)


Measures = dict[str, Measured]


def measures_of(reported: Iterable[Measure]) -> Measures:
    """Raises ValueError for a sketch that is none."""
    found: Measures = {}
    for measure in reported:
        sketch = Sketch.from_bytes(measure.sketch) if measure.sketch else None
        models = measure.models or None
        measured = Measured(measure.unit, measure.shape, measure.amount, measure.count, sketch, models)
        add(found, measure.name, measured)
    return found


def add(into: Measures, name: str, measured: Measured) -> None:
    """Under its name, or as one more of OTHER where that has no room."""
    if name == OTHER or not has_room(into, name):
        amount = measured.amount if name == OTHER else 1.0
        name, measured = OTHER, Measured("", "sum", amount)
    known = into.get(name)
    if known is None:
        # A copy: what is added later must not show in the original.
        known = into[name] = Measured(measured.unit, measured.shape)
    known.merge(measured)


def has_room(measures: Measures, name: str) -> bool:
    return name in measures or name in WELL_KNOWN or len(measures.keys() - WELL_KNOWN - {OTHER}) < MAX_NAMES


def merge(into: Measures, later: Measures) -> None:
    for name, measured in later.items():
        add(into, name, measured)


def clean_name(name: str) -> str:
    """In the alphabet of kinds; OTHER where nothing of it is left."""
    return _NOT_OF_A_NAME.sub("_", name[: 2 * MAX_NAME].lower()).strip("_")[:MAX_NAME] or OTHER


def clean_model(name: str) -> str:
    """As a model is called here; OTHER where nothing of it is left."""
    return _NOT_OF_A_MODEL.sub("_", name[: 2 * MAX_NAME].lower()).strip("_")[:MAX_NAME] or OTHER


def figures(measures: Measures) -> dict[str, float]:
    """For a snapshot. Values have no one figure: their count, median and 95th percentile, after a slash, which is in
    no name."""
    found: dict[str, float] = {}
    others = sorted(measures.keys() - WELL_KNOWN)[:MAX_SHOWN]
    for name in sorted([*measures.keys() & WELL_KNOWN, *others]):
        measured = measures[name]
        if measured.shape != "values":
            found[name] = measured.amount
        elif measured.sketch is not None:
            found[f"{name}/count"] = float(measured.count)
            middle, high = measured.sketch.quantiles(0.5, 0.95)
            if middle is not None and high is not None:  # who sends no buckets has no percentiles, not zeros
                found |= {f"{name}/p50": middle, f"{name}/p95": high}
    return found


TOKENS = "tokens."  # the names of token counts, which don't overlap, begin so
COST = "cost_usd"


def is_spent(name: str) -> bool:
    """Whether it is a part of what an agent uses up."""
    return name == COST or name.startswith(TOKENS)


def tokens(found: dict[str, float]) -> float | None:
    """All tokens of these figures; None where none are reported."""
    counts = [amount for name, amount in found.items() if name.startswith(TOKENS)]
    return sum(counts) if counts else None
