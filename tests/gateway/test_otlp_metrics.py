"""OTLP metrics to a real gateway process."""

import gzip
import json
import math
import time

import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    Summary,
    SummaryDataPoint,
)

from apps.gateway.otlp.messages import JSON, PROTOBUF
from apps.gateway.otlp.points import MAX_POINTS
from apps.gateway.otlp.series import MAX_SERIES
from apps.lib.redis import connection as redis_connection
from apps.telemetry import ingest
from tests.gateway.exports import (
    CUMULATIVE,
    DELTA,
    METRICS,
    a_sum,
    attributes,
    export,
    export_json,
    measured,
    metrics,
    rejected,
)
from tests.gateway.posting import post
from tests.gateway.processes import GatewayProcess, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

TOKENS = "claude_code.token.usage"
NOTHING_REJECTED = (0, "")


def latencies(
    name: str, *, counts: list[int], total: float, count: int | None = None, time_s: float = 1
) -> Metric:
    point = HistogramDataPoint(
        start_time_unix_nano=1,
        time_unix_nano=int(time_s * 1e9),
        explicit_bounds=[10.0, 100.0, 1000.0],
        bucket_counts=counts,
        count=sum(counts) if count is None else count,
        sum=total,
    )
    return Metric(
        name=name, unit="ms", histogram=Histogram(data_points=[point], aggregation_temporality=CUMULATIVE)
    )


def test_running_totals_count_what_came_on_top(gateway, make_agent):
    agent, token = make_agent()
    for amount in (100, 250, 250):
        answer = export(gateway, token, metrics(a_sum(TOKENS, amount, type="input", model="a")))
        assert rejected(answer) == NOTHING_REJECTED
        assert answer.headers["content-type"] == PROTOBUF
    export(gateway, token, metrics(a_sum(TOKENS, 40, type="input", model="b")))

    assert measured(agent.pk) == {"tokens.input": 290.0}


def test_a_new_start_of_the_counting_is_counted_whole(gateway, make_agent):
    agent, token = make_agent()
    export(gateway, token, metrics(a_sum("things", 100, start_s=1)))
    export(gateway, token, metrics(a_sum("things", 300, start_s=2)))
    assert measured(agent.pk) == {"things": 400.0}


def test_an_export_that_comes_again_counts_once(gateway, make_agent):
    agent, token = make_agent()
    request = metrics(a_sum(TOKENS, 5, temporality=DELTA, type="output"), a_sum("things", 7))
    for _ in range(3):
        assert rejected(export(gateway, token, request)) == NOTHING_REJECTED
    export(gateway, token, metrics(a_sum(TOKENS, 5, temporality=DELTA, type="output")))

    assert measured(agent.pk) == {"tokens.output": 10.0, "things": 7.0}


def test_it_remembers_over_a_restart_of_the_gateway(transactional_db, redis_server, make_agent):
    agent, token = make_agent()
    request = metrics(a_sum("deltas", 5, temporality=DELTA), a_sum("totals", 7))
    for _ in range(2):
        gateway = GatewayProcess(redis_server.url)
        try:
            assert export(gateway, token, request).status == 200
        finally:
            gateway.kill()

    assert measured(agent.pk) == {"deltas": 5.0, "totals": 7.0}


def test_each_start_of_an_agent_is_a_sender_of_its_own(gateway, make_agent):
    agent, token = make_agent()
    other, other_token = make_agent()
    request = metrics(a_sum("things", 7, time_s=5))
    export(gateway, token, request)
    export(gateway, other_token, request)
    assert (measured(agent.pk), measured(other.pk)) == ({"things": 7.0}, {"things": 7.0})


def test_it_speaks_json(gateway, make_agent):
    agent, token = make_agent()
    answer = export_json(gateway, token, metrics(a_sum(TOKENS, 100, type="cacheRead")))

    assert (answer.status, answer.headers["content-type"], answer.json) == (200, JSON, {})
    assert measured(agent.pk) == {"tokens.cache_read": 100.0}


def test_it_takes_the_hexadecimal_identifiers_and_unknown_keys_of_json(gateway, make_agent):
    agent, token = make_agent()
    point = {
        "asInt": "12",
        "timeUnixNano": "1000",
        "exemplars": [
            {"asInt": "1", "spanId": "EEE19B7EC3C1B1", "traceId": "5b8efff798038103d269b633813fc60c"}
        ],
        "fromTheFuture": {"x": 1},
    }
    metric = {
        "name": "things",
        "sum": {"dataPoints": [point], "aggregationTemporality": 2, "isMonotonic": True},
    }
    body = json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}).encode()

    assert post(gateway, METRICS, body, token).status == 200
    assert measured(agent.pk) == {"things": 12.0}


def test_it_takes_gzip(gateway, make_agent):
    agent, token = make_agent()
    body = gzip.compress(metrics(a_sum("things", 3)).SerializeToString())
    assert post(gateway, METRICS, body, token, PROTOBUF, Content_Encoding="gzip").status == 200
    assert measured(agent.pk) == {"things": 3.0}


def test_gauges_keep_the_last(gateway, make_agent):
    agent, token = make_agent()
    for amount in (5.0, 2.0):
        point = NumberDataPoint(as_double=amount, time_unix_nano=1)
        export(gateway, token, metrics(Metric(name="Queue Depth", gauge=Gauge(data_points=[point]))))
    up_and_down = a_sum("open_files", 9)
    up_and_down.sum.is_monotonic = False
    export(gateway, token, metrics(up_and_down))
    assert measured(agent.pk) == {"queue_depth": 2.0, "open_files": 9.0}


def test_histograms_become_values(gateway, make_agent):
    agent, token = make_agent()
    name = "gemini_cli.tool.call.latency"
    export(gateway, token, metrics(latencies(name, counts=[1, 2, 0, 0], total=100, time_s=1)))
    export(gateway, token, metrics(latencies(name, counts=[1, 2, 5, 0], total=3000, time_s=2)))
    assert measured(agent.pk) == {
        "tool.latency/count": 8.0,
        "tool.latency/p50": pytest.approx(550, rel=0.01),
        "tool.latency/p95": pytest.approx(550, rel=0.01),
    }


def test_exponential_histograms_become_values_over_changes_of_scale(gateway, make_agent):
    agent, token = make_agent()

    def turn(time: int, scale: int, offset: int, counts: list[int]) -> Metric:
        point = ExponentialHistogramDataPoint(time_unix_nano=time, count=sum(counts), sum=1.0, scale=scale)
        point.positive.offset, point.positive.bucket_counts[:] = offset, counts
        return Metric(
            name="turns",
            exponential_histogram=ExponentialHistogram(
                data_points=[point], aggregation_temporality=CUMULATIVE
            ),
        )

    assert rejected(export(gateway, token, metrics(turn(1, 3, 20, [4, 4])))) == NOTHING_REJECTED
    assert rejected(export(gateway, token, metrics(turn(2, 1, 5, [8, 0, 0, 0, 0, 12])))) == NOTHING_REJECTED

    found = measured(agent.pk)
    assert found["turns/count"] == 20.0
    assert found["turns/p95"] == pytest.approx(2 ** (10.5 / 2), rel=0.01)


def test_codex_and_gemini_tell_parts_that_overlap(gateway, make_agent):
    agent, token = make_agent()

    def usage(kind: str, tokens: float) -> Metric:
        metric = latencies("codex.turn.token_usage", counts=[0, 0, 0, 1], total=tokens)
        metric.histogram.data_points[0].attributes.extend(attributes(token_type=kind))
        return metric

    codex = {"input": 1000, "cached_input": 400, "output": 90, "reasoning_output": 60, "total": 1090}
    export(gateway, token, metrics(*[usage(kind, count) for kind, count in codex.items()]))
    assert measured(agent.pk) == {"tokens.input": 600.0, "tokens.cache_read": 400.0, "tokens.output": 90.0}

    agent, token = make_agent()
    gemini = {"input": 1000, "cache": 400, "output": 90, "thought": 60, "tool": 10}
    export(
        gateway,
        token,
        metrics(*[a_sum("gemini_cli.token.usage", n, type=kind) for kind, n in gemini.items()]),
    )
    assert measured(agent.pk) == {"tokens.input": 610.0, "tokens.cache_read": 400.0, "tokens.output": 150.0}


def test_a_part_that_nobody_knows_keeps_its_own_name(gateway, make_agent):
    agent, token = make_agent()
    export(gateway, token, metrics(a_sum(TOKENS, 3, type="dreamt"), a_sum("my.tests.run", 4)))
    assert measured(agent.pk) == {TOKENS: 3.0, "my.tests.run": 4.0}


@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
def test_without_a_token_nothing_is_taken(gateway, make_agent, kind):
    agent, _ = make_agent()
    body = metrics(a_sum("things", 1), **{"swarmyard.agent": agent.name}).SerializeToString()
    answer = post(gateway, METRICS, body, None, kind)

    assert answer.status == 401
    code = Status.FromString(answer.body).code if kind == PROTOBUF else answer.json["code"]
    assert code == 16
    assert measured(agent.pk) == {}


def test_a_resource_may_not_point_at_another_agent(gateway, make_agent):
    agent, token = make_agent()
    other, _ = make_agent()
    request = metrics(a_sum("things", 1), a_sum("more", 2), **{"swarmyard.agent": other.name})
    request.resource_metrics.extend(
        metrics(a_sum("mine", 3), **{"swarmyard.agent": agent.name}).resource_metrics
    )
    count, why = rejected(export(gateway, token, request))

    assert (count, other.name in why, agent.name in why) == (2, False, True)
    assert (measured(agent.pk), measured(other.pk)) == ({"mine": 3.0}, {})


BAD_POINTS = {
    "nan": a_sum("bad", float("nan")),
    "infinite": a_sum("bad", float("inf")),
    "far too large": a_sum("bad", 1e300),
    "negative": a_sum("bad", -1),
    "without temporality": a_sum("bad", 1, temporality=0),
    "a histogram of nan": latencies("bad", counts=[1, 0, 0, 0], total=math.nan),
    "a histogram below 0": latencies("bad", counts=[1, 0, 0, 0], total=-5.0),
    "a histogram that doesn't add up": latencies("bad", counts=[1, 0, 0, 0], total=5.0, count=9),
    "a histogram with a bucket too few": latencies("bad", counts=[1, 0, 0], total=5.0),
    "a summary": Metric(name="bad", summary=Summary(data_points=[SummaryDataPoint(count=1)])),
}


@pytest.mark.parametrize("what", BAD_POINTS)
def test_points_that_cannot_be_counted_are_rejected_and_the_others_counted(gateway, make_agent, what):
    agent, token = make_agent()
    count, why = rejected(export(gateway, token, metrics(BAD_POINTS[what], a_sum("good", 1))))

    assert count == 1
    assert why
    assert measured(agent.pk) == {"good": 1.0}


def test_points_without_a_value_are_nothing(gateway, make_agent):
    agent, token = make_agent()
    metric = a_sum("things", 5)
    metric.sum.data_points[0].flags = 1
    assert rejected(export(gateway, token, metrics(metric))) == NOTHING_REJECTED
    assert measured(agent.pk) == {}


@pytest.mark.parametrize("years", [-1, 1, 200])
def test_times_that_are_off_move_nothing(gateway, make_agent, years):
    """What is reported counts by its arrival: a sender's clock tells its own points apart and no more."""
    agent, token = make_agent()
    off = time.time() + years * 365 * 86_400
    export(gateway, token, metrics(a_sum("things", 5, time_s=off, temporality=DELTA)))
    export(gateway, token, metrics(a_sum("things", 5, temporality=DELTA)))
    assert measured(agent.pk) == {"things": 10.0}


@pytest.mark.parametrize("cut", [1, 7, 30])
def test_a_truncated_export_is_refused(gateway, make_agent, cut):
    agent, token = make_agent()
    body = metrics(a_sum("things", 5, model="some")).SerializeToString()
    answer = post(gateway, METRICS, body[:-cut], token, PROTOBUF)

    assert answer.status == 400
    assert Status.FromString(answer.body).code == 3
    assert measured(agent.pk) == {}


BAD_JSON = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"\xff",
    b'{"resourceMetrics": 5}',
    b'{"resourceMetrics": [{"resource": 1}]}',
]


@pytest.mark.parametrize("body", [*BAD_JSON, b"[" * 100_000, b'{"resourceMetrics":' * 50_000])
def test_json_that_is_no_export_is_refused(gateway, make_agent, body):
    _, token = make_agent()
    answer = post(gateway, METRICS, body, token)
    assert (answer.status, answer.json["code"]) == (400, 3)
    assert "OTLP" in answer.json["message"]


@pytest.mark.parametrize("kind", ["", "text/plain", "application/grpc"])
def test_other_content_types_are_refused(gateway, make_agent, kind):
    _, token = make_agent()
    assert post(gateway, METRICS, b"", token, kind).status == 415


def test_too_much_is_refused(gateway, make_agent):
    _, token = make_agent()
    assert post(gateway, METRICS, bytes(1024 * 1024 + 1), token, PROTOBUF).status == 413
    before = gateway.resident_bytes()
    bomb = gzip.compress(bytes(400 * 1024 * 1024), compresslevel=9)
    answer = post(gateway, METRICS, bomb, token, PROTOBUF, Content_Encoding="gzip")
    assert (answer.status, Status.FromString(answer.body).code) == (413, 8)
    assert gateway.resident_bytes() - before < 40 * 1024 * 1024


def test_a_million_names_are_bounded(gateway, make_agent):
    agent, token = make_agent()
    before = gateway.resident_bytes()
    for part in range(3):
        found = [a_sum(f"name.{part}.{number}", 1, time_s=1) for number in range(MAX_POINTS + 100)]
        count, why = rejected(export(gateway, token, metrics(*found)))
        assert count == MAX_POINTS + 100 - (MAX_SERIES if part == 0 else 0)
        assert f"{MAX_SERIES:,} series" in why
        assert f"{MAX_POINTS:,} points" in why

    found = measured(agent.pk)
    assert len(found) == 65
    assert found["other"] == MAX_SERIES - 64
    assert len(redis_connection().keys("yard:measured:*")) == 1
    assert gateway.resident_bytes() - before < 80 * 1024 * 1024


def test_it_asks_to_come_back_while_redis_is_away(gateway, make_agent, redis_server):
    agent, token = make_agent()
    request = metrics(a_sum("things", 5, temporality=DELTA))
    redis_server.kill()
    answer = export(gateway, token, request)
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert Status.FromString(answer.body).code == 14

    redis_server.start()
    wait_until(lambda: export(gateway, token, request).status == 200, what="the export is taken")
    assert measured(agent.pk) == {"things": 5.0}


def test_it_asks_to_come_back_while_the_stream_is_full(gateway, make_agent):
    agent, token = make_agent()
    request = metrics(a_sum("things", 5))
    redis_connection().set(ingest.BYTES_IN, ingest.MAX_BYTES + 1)
    answer = export(gateway, token, request)
    assert answer.status == 503
    assert "full" in Status.FromString(answer.body).message

    redis_connection().delete(ingest.BYTES_IN)
    assert export(gateway, token, request).status == 200
    assert measured(agent.pk) == {"things": 5.0}
