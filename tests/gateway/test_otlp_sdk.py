"""The OpenTelemetry SDK for Python, as an agent would use it: its exports end in a snapshot."""

import logging
import threading
import time

import pytest
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View

from apps.fleet.domain.gateway import otlp_headers
from apps.telemetry import snapshot as snapshots
from apps.telemetry.snapshot import AgentFigures
from tests.gateway.exports import measured
from tests.gateway.processes import TelemetryProcess, wait_until
from tests.telemetry.factories import measured_totals

pytestmark = pytest.mark.django_db(transaction=True)

DELTA = {Counter: AggregationTemporality.DELTA, Histogram: AggregationTemporality.DELTA}
EXPONENTIAL = View(instrument_name="*.duration_ms", aggregation=ExponentialBucketHistogramAggregation())


@pytest.fixture
def environment(gateway, monkeypatch):
    """Sets what a preset sets for its agents."""
    monkeypatch.setattr(logging.getLogger("opentelemetry"), "level", logging.CRITICAL)

    def launch(token: str) -> None:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{gateway.port}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", otlp_headers(token))

    return launch


def meters(*, temporality: dict | None = None, compression: Compression | None = None) -> MeterProvider:
    """Exports when it is told to."""
    exporter = OTLPMetricExporter(preferred_temporality=temporality, compression=compression, timeout=30)
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=600_000)
    return MeterProvider([reader], views=[EXPONENTIAL])


def work(provider: MeterProvider) -> None:
    meter = provider.get_meter("agent")
    meter.create_counter("claude_code.token.usage").add(1200, {"type": "input", "model": "a"})
    meter.create_counter("claude_code.cost.usage", "USD").add(0.25, {"model": "a"})
    meter.create_histogram("gemini_cli.api.request.latency", "ms").record(70)
    meter.create_histogram("codex.tool.call.duration_ms", "ms").record(300)


def snapshot_of(agent: int, name: str) -> AgentFigures | None:
    found = snapshots.read(60)
    figures = found.agents.get(agent) if found else None
    return figures if figures and name in figures.measures else None


def test_metrics_and_events_end_in_a_snapshot(gateway, make_agent, redis_server, environment):
    agent, token = make_agent()
    environment(token)
    telemetry = TelemetryProcess(redis_server.url)
    try:
        provider = meters(compression=Compression.Gzip)
        work(provider)
        assert provider.force_flush(30_000)
        work(provider)
        provider.shutdown()

        logs = LoggerProvider()
        logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
        attributes = {"duration_ms": 40, "success": "false"}
        logger = logs.get_logger("agent")
        logger.emit(
            timestamp=time.time_ns(),
            severity_number=SeverityNumber.INFO,
            body="claude_code.tool_result",
            attributes=attributes,
        )
        logs.shutdown()

        figures = wait_until(
            lambda: snapshot_of(agent.pk, "tool.errors"), seconds=40, what="the events are shown"
        )
        assert figures.measures["tokens.input"] == 2400.0
        assert figures.measures["cost_usd"] == 0.5
        assert figures.measures["tool.latency/count"] == 3.0
        assert figures.measures["tool.latency/p95"] == pytest.approx(300, rel=0.05)
        assert figures.measures["model.latency/count"] == 2.0
        assert figures.measures["tool.errors"] == 1.0
        totals = snapshots.read(60).totals
        assert (totals.tokens, totals.cost_usd) == (2400.0, 0.5)
        assert telemetry.terminate() == 0
    finally:
        telemetry.kill()

    kept = measured_totals(agent.pk)
    assert (kept["tokens.input"].amount, kept["cost_usd"].unit) == (2400.0, "USD")


@pytest.mark.parametrize("temporality", [None, pytest.param(DELTA, marks=pytest.mark.slow)])
def test_nothing_is_lost_or_counted_twice_while_redis_is_away(
    gateway, make_agent, redis_server, environment, temporality
):
    """The SDK keeps what it was refused and sends it again by itself."""
    agent, token = make_agent()
    environment(token)
    provider = meters(temporality=temporality)
    work(provider)
    redis_server.kill()
    back = threading.Timer(1.5, redis_server.start)
    back.start()
    try:
        provider.force_flush(60_000)
    finally:
        back.join()
    work(provider)
    provider.force_flush(60_000)
    provider.shutdown()

    assert measured(agent.pk)["tokens.input"] == 2400.0
    assert measured(agent.pk)["model.latency/count"] == 2.0
