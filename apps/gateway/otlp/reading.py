"""From an export to measures: what is new in it, under the names that it has here."""

import hashlib
from collections.abc import Iterator

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from apps.gateway.otlp.mapping import ANY, EVENTS, METRICS, MODEL, Event, Rule
from apps.gateway.otlp.points import (
    Point,
    Rejections,
    attributes_of,
    foreign,
    is_of_another,
    points_of,
    resource_of,
)
from apps.gateway.otlp.series import Memory, Reading, TooManySeries, increase
from apps.gateway.otlp.spread import sketch_of
from apps.lib.text import plain_text
from apps.telemetry.domain.measures import (
    MAX_AMOUNT,
    MAX_UNIT,
    Measure,
    Measured,
    Measures,
    Shape,
    add,
    clean_model,
    clean_name,
    is_spent,
)
from apps.telemetry.domain.sample import MAX_MS

UNKNOWN = Rule({})


def read_metrics(
    request: ExportMetricsServiceRequest, agent: str, memory: Memory, now: float, rejected: Rejections
) -> list[Measure]:
    """What came on top since the last export. Changes `memory`."""
    found: Measures = {}
    for point in points_of(request, agent, rejected):
        try:
            new = increase(memory, point.series, point.temporality, point.time, point.reading, now)
        except TooManySeries as error:
            rejected.add(str(error))
            continue
        if new is not None:
            _count(found, point, new)
    return _measures(found)


def read_logs(
    request: ExportLogsServiceRequest, agent: str, memory: Memory, body: bytes, rejected: Rejections
) -> list[Measure]:
    """What its events say of latencies; other records are let go. Changes `memory`."""
    if memory.knows_export(hashlib.blake2b(body, digest_size=10).digest()):
        return []
    found: Measures = {}
    for record in _records(request, agent, rejected):
        attributes = attributes_of(record.attributes)
        names = (record.event_name, attributes.get("event.name", ""), record.body.string_value)
        event = next((EVENTS[name] for name in names if name in EVENTS), None)
        if event is not None:
            _count_event(found, event, attributes, rejected)
    return _measures(found)


def _records(request: ExportLogsServiceRequest, agent: str, rejected: Rejections) -> Iterator[LogRecord]:
    for each in request.resource_logs:
        if is_of_another(resource_of(each.resource.attributes), agent):
            rejected.add(foreign(agent), sum(len(scoped.log_records) for scoped in each.scope_logs))
            continue
        for scoped in each.scope_logs:
            yield from scoped.log_records


def _count(found: Measures, point: Point, new: Reading) -> None:
    rule = METRICS.get(point.metric, UNKNOWN)
    parts = rule.parts.get(point.attributes.get(rule.by, "") if rule.by else ANY)
    if parts is None:
        parts = {clean_name(point.metric): 1}
    unit = plain_text(point.unit, MAX_UNIT)
    for name, factor in parts.items():
        if point.shape == "values" and not rule.summed:
            add(found, name, Measured(unit, "values", new.amount, new.count, sketch_of(new.spread)))
        else:
            shape: Shape = "gauge" if point.shape == "gauge" else "sum"
            amount = factor * new.amount
            add(found, name, Measured(unit, shape, amount, models=_models(name, point, amount)))


def _models(name: str, point: Point, amount: float) -> dict[str, float] | None:
    """Which model used it; None for what no model uses, or where the agent doesn't say."""
    model = point.attributes.get(MODEL, "") if is_spent(name) else ""
    return {clean_model(model): amount} if model else None


def _count_event(found: Measures, event: Event, attributes: dict[str, str], rejected: Rejections) -> None:
    duration = attributes.get("duration_ms", "")
    if duration:
        milliseconds = _number(duration)
        if milliseconds is None:
            rejected.add(f"duration_ms must be a number from 0 to {MAX_MS:g}")
            return
        add(found, event.latency, Measured("ms", "values", milliseconds, 1, sketch_of({milliseconds: 1})))
    if event.always_error or attributes.get("success") == "false":
        add(found, event.errors, Measured("", "sum", 1.0))


def _number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if 0 <= found <= MAX_MS else None


def _measures(found: Measures) -> list[Measure]:
    return [
        Measure(
            name=name,
            unit=measured.unit,
            shape=measured.shape,
            amount=_bounded(measured.amount),
            count=measured.count,
            sketch=measured.sketch.to_bytes() if measured.sketch is not None else b"",
            models={model: _bounded(amount) for model, amount in (measured.models or {}).items()},
        )
        for name, measured in found.items()
        if measured.shape == "gauge" or measured.amount or measured.count
    ]


def _bounded(amount: float) -> float:
    return max(-MAX_AMOUNT, min(amount, MAX_AMOUNT))
