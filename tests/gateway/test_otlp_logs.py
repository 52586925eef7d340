"""OTLP logs to a real gateway process: events give latencies, and nothing that metrics tell."""

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from tests.gateway.exports import LOGS, event, export, export_json, measured, rejected

pytestmark = pytest.mark.django_db(transaction=True)


def a_session() -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    event(request, "claude_code.user_prompt", prompt_length="120")
    event(request, "claude_code.api_request", duration_ms="2000", input_tokens="500", cost_usd="0.5")
    event(request, "claude_code.tool_result", duration_ms="30", success="true")
    event(request, "claude_code.tool_result", duration_ms="50", success="false")
    event(request, "claude_code.api_error", duration_ms="900", error="overloaded")
    return request


LATENCIES = {
    "model.errors": 1.0,
    "model.latency/count": 2.0,
    "model.latency/p50": pytest.approx(900, rel=0.01),
    "model.latency/p95": pytest.approx(2000, rel=0.01),
    "tool.errors": 1.0,
    "tool.latency/count": 2.0,
    "tool.latency/p50": pytest.approx(30, rel=0.01),
    "tool.latency/p95": pytest.approx(50, rel=0.01),
}


@pytest.mark.parametrize("send", [export, export_json])
def test_events_give_latencies_and_no_tokens(gateway, make_agent, send):
    agent, token = make_agent()
    assert send(gateway, token, a_session(), LOGS).status == 200
    assert measured(agent.pk) == LATENCIES


def test_an_export_that_comes_again_counts_once(gateway, make_agent):
    agent, token = make_agent()
    for _ in range(3):
        assert rejected(export(gateway, token, a_session(), LOGS)) == (0, "")
    assert measured(agent.pk) == LATENCIES


def test_an_event_is_known_by_any_of_its_names(gateway, make_agent):
    agent, token = make_agent()
    request = ExportLogsServiceRequest()
    event(request, "", duration_ms="10")
    request.resource_logs[0].scope_logs[0].log_records[0].event_name = "claude_code.tool_result"
    event(request, "anything", **{"event.name": "claude_code.tool_result", "duration_ms": "10"})
    export(gateway, token, request, LOGS)
    assert measured(agent.pk)["tool.latency/count"] == 2.0


@pytest.mark.parametrize("duration", ["nan", "inf", "-1", "soon", "1e300"])
def test_durations_that_are_none_are_rejected(gateway, make_agent, duration):
    agent, token = make_agent()
    request = ExportLogsServiceRequest()
    event(request, "claude_code.tool_result", duration_ms=duration)
    event(request, "claude_code.tool_result", duration_ms="5")
    count, why = rejected(export(gateway, token, request, LOGS))

    assert (count, "duration_ms" in why) == (1, True)
    assert measured(agent.pk)["tool.latency/count"] == 1.0


def test_a_resource_may_not_point_at_another_agent(gateway, make_agent):
    agent, token = make_agent()
    other, _ = make_agent()
    request = a_session()
    named = request.resource_logs[0].resource.attributes.add(key="swarmyard.agent")
    named.value.string_value = other.name

    assert rejected(export(gateway, token, request, LOGS))[0] == 5
    assert (measured(agent.pk), measured(other.pk)) == ({}, {})
