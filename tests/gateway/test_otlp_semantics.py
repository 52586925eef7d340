"""What the specification of OTLP/HTTP and of its metrics asks of who receives them."""

import gzip
import json

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
)

from apps.gateway.otlp.messages import JSON, PROTOBUF
from apps.lib.redis import connection
from apps.telemetry.domain.measures import MAX_MODELS, Measures, merge
from apps.telemetry.stream import Stream
from tests.gateway.exports import (
    CUMULATIVE,
    DELTA,
    LOGS,
    METRICS,
    SECOND,
    a_sum,
    export,
    export_json,
    measured,
    metrics,
    rejected,
)
from tests.gateway.posting import post

pytestmark = pytest.mark.django_db(transaction=True)

TOKENS = "claude_code.token.usage"
NOTHING_REJECTED = (0, "")


def histogram(*, count: int, total: float | None, start_s: int = 1, time_s: int = 2, **buckets) -> Metric:
    point = HistogramDataPoint(
        start_time_unix_nano=start_s * SECOND,
        time_unix_nano=time_s * SECOND,
        count=count,
        sum=total,
        **buckets,
    )
    found = Histogram(data_points=[point], aggregation_temporality=CUMULATIVE)
    return Metric(name="turns", unit="ms", histogram=found)


def exponential(time_s: int, temporality: int, **fields) -> Metric:
    point = ExponentialHistogramDataPoint(start_time_unix_nano=1, time_unix_nano=time_s * SECOND, **fields)
    found = ExponentialHistogram(data_points=[point], aggregation_temporality=temporality)
    return Metric(name="turns", unit="ms", exponential_histogram=found)


def models(agent: int) -> dict[str, dict[str, float]]:
    """What the stream holds of it by model, by name."""
    found: Measures = {}
    for entry in Stream(connection()).take()[1]:
        if entry.agent == agent:
            merge(found, entry.measures)
    return {name: dict(each.models) for name, each in found.items() if each.models}


def test_a_full_success_sets_no_partial_success(gateway, make_agent):
    _, token = make_agent()
    answer = export(gateway, token, metrics(a_sum("things", 1)))
    assert (answer.status, answer.headers["content-type"], answer.body) == (200, PROTOBUF, b"")


def test_an_export_without_anything_is_a_success(gateway, make_agent):
    _, token = make_agent()
    for path in (METRICS, LOGS):
        assert post(gateway, path, b"", token, PROTOBUF).status == 200
        assert post(gateway, path, b"{}", token, JSON).status == 200


def test_an_export_of_which_nothing_counts_is_answered_200_and_not_sent_again(gateway, make_agent):
    agent, token = make_agent()
    answer = export_json(gateway, token, metrics(a_sum("a", -1), a_sum("b", float("inf"))))

    assert answer.status == 200
    # 64-bit integers are strings in the JSON of protobuf.
    assert answer.json["partialSuccess"]["rejectedDataPoints"] == "2"
    assert answer.json["partialSuccess"]["errorMessage"]
    assert measured(agent.pk) == {}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_other_methods_are_refused_for_good(gateway, make_agent, method):
    _, token = make_agent()
    answer = post(gateway, METRICS, b"", token, PROTOBUF, method=method)
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


def test_a_content_type_may_have_parameters(gateway, make_agent):
    agent, token = make_agent()
    body = json.dumps({"resourceMetrics": []}).encode()
    assert post(gateway, METRICS, body, token, "Application/JSON; charset=utf-8").status == 200
    assert measured(agent.pk) == {}


def whole() -> bytes:
    return metrics(a_sum("things", 5)).SerializeToString()


BAD_BODIES = {
    "json as protobuf": (json.dumps({"resourceMetrics": []}).encode(), PROTOBUF, {}),
    "protobuf as json": (whole(), JSON, {}),
    "no gzip": (whole(), PROTOBUF, {"Content_Encoding": "gzip"}),
    "gzip that is cut off": (gzip.compress(whole())[:-4], PROTOBUF, {"Content_Encoding": "gzip"}),
    "gzip and more": (gzip.compress(whole()) + b"more", PROTOBUF, {"Content_Encoding": "gzip"}),
    "gzip of nothing that counts": (gzip.compress(b"\xff" * 10), PROTOBUF, {"Content_Encoding": "gzip"}),
}


@pytest.mark.parametrize("what", BAD_BODIES)
def test_what_cannot_be_decoded_is_refused_for_good(gateway, make_agent, what):
    """400 isn't retryable: the same bytes would fail again."""
    agent, token = make_agent()
    body, kind, headers = BAD_BODIES[what]
    answer = post(gateway, METRICS, body, token, kind, **headers)

    assert answer.status == 400
    assert "retry-after" not in answer.headers
    code = Status.FromString(answer.body).code if kind == PROTOBUF else answer.json["code"]
    assert code == 3
    assert measured(agent.pk) == {}


@pytest.mark.parametrize("encoding", ["deflate", "br", "gzip, gzip"])
def test_other_encodings_are_refused_for_good(gateway, make_agent, encoding):
    _, token = make_agent()
    assert post(gateway, METRICS, whole(), token, PROTOBUF, Content_Encoding=encoding).status == 415


def test_a_total_without_a_value_is_no_new_beginning(gateway, make_agent):
    agent, token = make_agent()
    empty = a_sum("things", 1, time_s=6)
    empty.sum.data_points[0].ClearField("as_int")
    assert rejected(export(gateway, token, metrics(a_sum("things", 5, time_s=5)))) == NOTHING_REJECTED
    count, why = rejected(export(gateway, token, metrics(empty)))
    assert rejected(export(gateway, token, metrics(a_sum("things", 7, time_s=7)))) == NOTHING_REJECTED

    assert (count, "value" in why) == (1, True)
    assert measured(agent.pk) == {"things": 7.0}


def test_a_gauge_without_a_value_is_rejected(gateway, make_agent):
    agent, token = make_agent()
    gauge = Gauge(data_points=[NumberDataPoint(time_unix_nano=1)])
    assert rejected(export(gateway, token, metrics(Metric(name="depth", gauge=gauge))))[0] == 1
    assert measured(agent.pk) == {}


def test_the_start_time_tells_a_new_beginning_that_the_total_hides(gateway, make_agent):
    """The new total is above the old one: only its start time says that all of it is new."""
    agent, token = make_agent()
    export(gateway, token, metrics(a_sum("things", 5, start_s=1, time_s=10)))
    export(gateway, token, metrics(a_sum("things", 8, start_s=20, time_s=30)))
    export(gateway, token, metrics(a_sum("things", 9, start_s=20, time_s=40)))
    assert measured(agent.pk) == {"things": 14.0}


def test_the_start_time_of_a_delta_is_no_matter(gateway, make_agent):
    agent, token = make_agent()
    for start in (1, 2, 2):
        point = a_sum("things", 4, start_s=start, time_s=start + 10, temporality=DELTA)
        export(gateway, token, metrics(point))
    assert measured(agent.pk) == {"things": 8.0}


def test_deltas_that_go_up_and_down_add_up(gateway, make_agent):
    agent, token = make_agent()
    for time, amount in ((1, 5), (2, -3)):
        metric = a_sum("open", amount, time_s=time, temporality=DELTA)
        metric.sum.is_monotonic = False
        assert rejected(export(gateway, token, metrics(metric))) == NOTHING_REJECTED
    assert measured(agent.pk) == {"open": 2.0}


def test_a_histogram_that_began_anew_is_counted_whole(gateway, make_agent):
    agent, token = make_agent()
    buckets = {"explicit_bounds": [10.0, 100.0]}
    export(gateway, token, metrics(histogram(count=3, total=60.0, bucket_counts=[1, 2, 0], **buckets)))
    again = histogram(count=4, total=90.0, start_s=5, time_s=6, bucket_counts=[1, 3, 0], **buckets)
    export(gateway, token, metrics(again))
    assert measured(agent.pk)["turns/count"] == 7.0


@pytest.mark.parametrize("bucket_counts", [[], [3]])
def test_a_histogram_without_bounds_has_a_count_and_no_percentiles(gateway, make_agent, bucket_counts):
    agent, token = make_agent()
    found = histogram(count=3, total=60.0, bucket_counts=bucket_counts)
    assert rejected(export(gateway, token, metrics(found))) == NOTHING_REJECTED
    assert measured(agent.pk) == {"turns/count": 3.0}


def test_exponential_histograms_as_deltas_add_up_over_scales(gateway, make_agent):
    agent, token = make_agent()
    fine = exponential(1, DELTA, count=3, sum=30.0, scale=3, zero_count=1)
    fine.exponential_histogram.data_points[0].positive.offset = 24
    fine.exponential_histogram.data_points[0].positive.bucket_counts[:] = [1, 1]
    coarse = exponential(2, DELTA, count=2, sum=3000.0, scale=0)
    coarse.exponential_histogram.data_points[0].positive.offset = 10
    coarse.exponential_histogram.data_points[0].positive.bucket_counts[:] = [2]
    for metric in (fine, coarse, coarse):
        assert rejected(export(gateway, token, metrics(metric))) == NOTHING_REJECTED

    found = measured(agent.pk)
    assert found["turns/count"] == 5.0
    assert found["turns/p50"] == pytest.approx(2 ** (25.5 / 8), rel=0.01)
    assert found["turns/p95"] == pytest.approx(2**10.5, rel=0.01)


def test_an_exponential_histogram_without_a_sum_that_gets_coarser_counts_once(gateway, make_agent):
    agent, token = make_agent()
    fine = exponential(1, CUMULATIVE, count=8, scale=3)
    fine.exponential_histogram.data_points[0].positive.offset = 25
    fine.exponential_histogram.data_points[0].positive.bucket_counts[:] = [8]
    coarse = exponential(2, CUMULATIVE, count=8, scale=1)
    coarse.exponential_histogram.data_points[0].positive.offset = 6
    coarse.exponential_histogram.data_points[0].positive.bucket_counts[:] = [8]
    for metric in (fine, coarse, fine):
        assert rejected(export(gateway, token, metrics(metric))) == NOTHING_REJECTED

    assert measured(agent.pk)["turns/count"] == 8.0


def test_an_exponential_histogram_with_values_below_0_is_rejected(gateway, make_agent):
    agent, token = make_agent()
    metric = exponential(1, DELTA, count=1, sum=-3.0, scale=0)
    metric.exponential_histogram.data_points[0].negative.bucket_counts[:] = [1]
    assert rejected(export(gateway, token, metrics(metric)))[0] == 1
    assert measured(agent.pk) == {}


def test_tokens_and_cost_are_told_apart_by_model(gateway, make_agent):
    agent, token = make_agent()
    request = metrics(
        a_sum(TOKENS, 100, type="input", model="claude-opus-4-1"),
        a_sum(TOKENS, 40, type="input", model="Claude Haiku"),
        a_sum("claude_code.cost.usage", 0.5, model="claude-opus-4-1"),
        a_sum("things", 3, model="claude-opus-4-1"),
    )
    export(gateway, token, request)
    export(gateway, token, request)

    assert models(agent.pk) == {
        "tokens.input": {"claude-opus-4-1": 100.0, "claude_haiku": 40.0},
        "cost_usd": {"claude-opus-4-1": 0.5},
    }
    assert measured(agent.pk) == {"tokens.input": 140.0, "cost_usd": 0.5, "things": 3.0}


def test_a_part_of_the_input_is_taken_off_its_own_model(gateway, make_agent):
    agent, token = make_agent()
    request = metrics(
        a_sum("gemini_cli.token.usage", 100, type="input", model="pro"),
        a_sum("gemini_cli.token.usage", 30, type="cache", model="pro"),
    )
    export(gateway, token, request)
    assert models(agent.pk) == {"tokens.input": {"pro": 70.0}, "tokens.cache_read": {"pro": 30.0}}


def test_models_are_bounded(gateway, make_agent):
    agent, token = make_agent()
    found = [a_sum(TOKENS, 1, type="input", model=f"model-{number}") for number in range(MAX_MODELS + 20)]
    assert rejected(export(gateway, token, metrics(*found))) == NOTHING_REJECTED

    by_model = models(agent.pk)["tokens.input"]
    assert len(by_model) == MAX_MODELS + 1
    assert by_model["other"] == 20.0
