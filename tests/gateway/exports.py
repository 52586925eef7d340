"""OTLP exports for tests, and what comes of them."""

import time
from typing import Any

from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, NumberDataPoint, Sum

from apps.gateway.otlp.messages import PROTOBUF
from apps.lib.redis import connection
from apps.telemetry.domain.measures import Measures, figures, merge
from apps.telemetry.stream import Stream
from tests.gateway.posting import Answer, post

METRICS, LOGS = "/v1/metrics", "/v1/logs"
DELTA, CUMULATIVE = 1, 2
SECOND = 1_000_000_000


def attributes(**values: str) -> list[KeyValue]:
    """With `_` for `.` in names of two words."""
    return [KeyValue(key=name, value=AnyValue(string_value=value)) for name, value in values.items()]


def a_sum(
    name: str,
    amount: float,
    *,
    time_s: float = 0,
    start_s: float = 1,
    temporality: int = CUMULATIVE,
    **labels: str,
) -> Metric:
    point = NumberDataPoint(
        start_time_unix_nano=int(start_s * SECOND),
        time_unix_nano=int((time_s or time.time()) * SECOND),
        attributes=attributes(**labels),
    )
    if isinstance(amount, int):
        point.as_int = amount
    else:
        point.as_double = amount
    return Metric(
        name=name, sum=Sum(data_points=[point], aggregation_temporality=temporality, is_monotonic=True)
    )


def metrics(*found: Metric, **resource: str) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    each = request.resource_metrics.add()
    each.resource.attributes.extend(attributes(**resource))
    each.scope_metrics.add().metrics.extend(found)
    return request


def event(request: ExportLogsServiceRequest, name: str, **values: str) -> None:
    if not request.resource_logs:
        request.resource_logs.add().scope_logs.add()
    record = request.resource_logs[0].scope_logs[0].log_records.add()
    record.body.string_value = name
    record.attributes.extend(attributes(**values))


def export(gateway, token: str | None, message: Any, path: str = METRICS, **headers: str) -> Answer:
    return post(gateway, path, message.SerializeToString(), token, PROTOBUF, **headers)


def export_json(gateway, token: str, message: Any, path: str = METRICS) -> Answer:
    body = json_format.MessageToJson(message, use_integers_for_enums=True)
    return post(gateway, path, body.encode(), token)


def rejected(answer: Answer) -> tuple[int, str]:
    """Of an answer in protobuf: how many points or records, and why."""
    assert answer.status == 200, answer
    found = ExportMetricsServiceResponse.FromString(answer.body).partial_success
    assert ExportLogsServiceResponse.FromString(answer.body)  # the two have the same shape
    return found.rejected_data_points, found.error_message


def measured(agent: int) -> dict[str, float]:
    """What the stream holds of it, added up."""
    found: Measures = {}
    for entry in Stream(connection()).take()[1]:
        if entry.agent == agent and entry.measures:
            merge(found, entry.measures)
    return {name: amount for each in found for name, amount in figures({each: found[each]}).items()}
