"""The points of a metrics export, one by one, whatever their kind; what can't be counted is rejected with a reason."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, DataPointFlags, Metric

from apps.gateway.otlp.series import Reading, Temporality
from apps.gateway.otlp.spread import MAX_COUNT, NoSpread, of_buckets, of_exponential, total
from apps.telemetry.domain.measures import MAX_AMOUNT, Shape

MAX_POINTS = 5_000
TOO_MANY = f"an export may have {MAX_POINTS:,} points: send fewer at once"
AGENT = "swarmyard.agent"  # a resource may say whose it is, and then it must be right

TEMPORALITIES: dict[int, Temporality] = {
    AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA: "delta",
    AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE: "cumulative",
}
SHAPES: dict[str, Shape] = {"gauge": "gauge", "sum": "sum"}


class NotCounted(ValueError):
    """The text says why."""


@dataclass(slots=True)
class Rejections:
    """What was left out, and why."""

    count: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, reason: str, count: int = 1) -> None:
        self.count += count
        self.reasons[reason] += count

    @property
    def text(self) -> str:
        return "; ".join(f"{count} x {reason}" for reason, count in self.reasons.most_common(3))


@dataclass(frozen=True, slots=True)
class Point:
    """`shape` is what its amounts are: "values" for histograms. `series` identifies what it is a point of."""

    metric: str
    unit: str
    attributes: dict[str, str]
    shape: Shape
    series: bytes
    temporality: Temporality
    time: int
    reading: Reading


def points_of(request: ExportMetricsServiceRequest, agent: str, rejected: Rejections) -> Iterator[Point]:
    seen = 0
    for resource, scope, metric in _metrics(request):
        kind = metric.WhichOneof("data")
        points = getattr(metric, kind).data_points if kind else []
        reason = _reason(metric, kind, resource, agent)
        taken = 0 if reason else max(0, min(len(points), MAX_POINTS - seen))
        seen += taken
        if taken < len(points):
            rejected.add(reason or TOO_MANY, len(points) - taken)
        for point in points[:taken]:
            if point.flags & DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK:
                continue
            try:
                yield _point(metric, str(kind), point, resource.digest + scope)
            except (NotCounted, NoSpread) as error:
                rejected.add(str(error))


@dataclass(frozen=True, slots=True)
class Resource:
    digest: bytes
    agent: str


def resource_of(attributes: Iterable[KeyValue]) -> Resource:
    found = attributes_of(attributes)
    return Resource(_digest(*_flat(attributes)), found.get(AGENT, ""))


def is_of_another(resource: Resource, agent: str) -> bool:
    return bool(resource.agent) and resource.agent != agent


def foreign(agent: str) -> str:
    return f"{AGENT} names another agent than the token, which is {agent}'s"


def attributes_of(attributes: Iterable[KeyValue]) -> dict[str, str]:
    """Those that are plain values, as text."""
    return {each.key: text_of(each.value) for each in attributes}


def text_of(value: AnyValue) -> str:
    kind = value.WhichOneof("value")
    if kind == "bool_value":
        return "true" if value.bool_value else "false"
    return str(getattr(value, kind)) if kind in ("string_value", "int_value", "double_value") else ""


def _metrics(request: ExportMetricsServiceRequest) -> Iterator[tuple[Resource, bytes, Metric]]:
    for each in request.resource_metrics:
        resource = resource_of(each.resource.attributes)
        for scoped in each.scope_metrics:
            scope = _digest(scoped.scope.name.encode(), scoped.scope.version.encode())
            for metric in scoped.metrics:
                yield resource, scope, metric


def _reason(metric: Metric, kind: str | None, resource: Resource, agent: str) -> str:
    """Why none of the metric's points is taken; "" when they may be."""
    if is_of_another(resource, agent):
        return foreign(agent)
    if kind == "summary":
        return "summaries can't be added up: send histograms"
    if kind not in (None, "gauge") and getattr(metric, kind).aggregation_temporality not in TEMPORALITIES:
        return "the aggregation temporality must be delta or cumulative"
    return ""


def _point(metric: Metric, kind: str, point: Any, whose: bytes) -> Point:
    temporality: Temporality = "now"
    if kind != "gauge":
        temporality = TEMPORALITIES[getattr(metric, kind).aggregation_temporality]
    shape: Shape = SHAPES.get(kind, "values")
    if kind == "sum" and not metric.sum.is_monotonic and temporality == "cumulative":
        shape, temporality = "gauge", "now"  # it goes up and down: what counts is where it stands
    start = point.start_time_unix_nano if temporality == "cumulative" else 0
    what = (metric.name, metric.unit, kind, temporality, str(start))
    return Point(
        metric=metric.name,
        unit=metric.unit,
        attributes=attributes_of(point.attributes),
        shape=shape,
        series=_digest(whose, *(each.encode() for each in what), *_flat(point.attributes)),
        temporality=temporality,
        time=point.time_unix_nano,
        reading=_reading(metric, kind, point),
    )


def _reading(metric: Metric, kind: str, point: Any) -> Reading:
    if kind in ("gauge", "sum"):
        if point.WhichOneof("value") is None:
            raise NotCounted("a point needs a value: a total without one would look like a new beginning")
        amount = float(point.as_int if point.WhichOneof("value") == "as_int" else point.as_double)
        _check(amount, at_least=0.0 if kind == "sum" and metric.sum.is_monotonic else -MAX_AMOUNT)
        return Reading(amount)
    if point.count > MAX_COUNT:
        raise NotCounted(f"a histogram may count to {MAX_COUNT:,}")
    if kind == "histogram":
        spread = of_buckets(point.explicit_bounds, point.bucket_counts)
    else:
        if any(point.negative.bucket_counts):
            raise NotCounted("values below 0 can't be summarised")
        spread = of_exponential(
            point.scale, point.zero_count, point.positive.offset, point.positive.bucket_counts
        )
    if spread and sum(spread.values()) != point.count:
        raise NotCounted("the buckets of a histogram must add up to its count")
    is_told = point.HasField("sum")
    amount = point.sum if is_told else total(spread)
    _check(amount, at_least=0.0)
    return Reading(amount, point.count, spread, is_estimate=not is_told)


def _check(amount: float, *, at_least: float) -> None:
    # Not a number fails every comparison.
    if not at_least <= amount <= MAX_AMOUNT:
        raise NotCounted(f"a number must lie between {at_least:g} and {MAX_AMOUNT:g}")


def _flat(attributes: Iterable[KeyValue]) -> list[bytes]:
    """In an order of their own: senders may change theirs."""
    return sorted(each.SerializeToString(deterministic=True) for each in attributes)


def _digest(*parts: bytes) -> bytes:
    found = hashlib.blake2b(digest_size=10)
    for part in parts:
        found.update(len(part).to_bytes(4))
        found.update(part)
    return found.digest()
