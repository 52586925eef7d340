"""What agents are told of OTLP at their launch: home, with their own token, and without anybody's words."""

import pytest

from apps.fleet.domain.gateway import otlp_endpoint, otlp_headers
from apps.fleet.domain.preset import PresetError, parse_preset
from apps.fleet.presets import load_presets
from apps.fleet.starting import order_for
from tests.factories import make_agent

TOKEN = "yard_agent_s3cr3t"
HEADERS = "Authorization=Bearer%20yard_agent_s3cr3t"
HOME = "http://127.0.0.1:8001"


@pytest.mark.parametrize(
    ("gateway", "endpoint"),
    [
        ("ws://127.0.0.1:8001/ws/v1/agents/", "http://127.0.0.1:8001"),
        ("wss://yard.example/ws/v1/agents/", "https://yard.example"),
        ("wss://yard.example:444/behind/a/proxy/ws/v1/agents/", "https://yard.example:444/behind/a/proxy"),
        ("ws://[::1]:8001/ws/v1/agents/", "http://[::1]:8001"),
        ("ws://host/elsewhere", "http://host"),
        ("http://host/", ""),
        ("", ""),
    ],
)
def test_the_endpoint_is_where_the_gateway_is(gateway, endpoint):
    assert otlp_endpoint(gateway) == endpoint


def test_headers_are_percent_encoded():
    assert otlp_headers(TOKEN) == HEADERS
    assert otlp_headers("") == ""


@pytest.fixture
def order(db, settings, tmp_path, monkeypatch):
    """The order to launch an agent of this preset, of an operator who sends telemetry elsewhere."""
    settings.GATEWAY_URL = "ws://127.0.0.1:8001/ws/v1/agents/"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://elsewhere.example")
    monkeypatch.setenv("OTEL_LOG_USER_PROMPTS", "1")
    monkeypatch.setenv("GEMINI_TELEMETRY_LOG_PROMPTS", "true")

    def of(preset: str):
        agent = make_agent(preset=preset, prompt="Fix it", workspace_path=str(tmp_path))
        return order_for(agent, load_presets()[preset], TOKEN)

    return of


@pytest.mark.parametrize("preset", ["claude-code", "codex", "gemini"])
def test_known_agents_report_home_with_their_own_token(order, preset):
    found = order(preset)

    assert found.env["OTEL_EXPORTER_OTLP_HEADERS"] == HEADERS
    assert HOME in " ".join([*found.env.values(), *found.argv])
    assert "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT" not in found.env
    assert not any(TOKEN in argument for argument in found.argv)


def test_claude_code_is_switched_on_and_keeps_prompts_to_itself(order):
    env = order("claude-code").env
    assert {name: env[name] for name in env if name.startswith(("OTEL_", "CLAUDE_CODE_ENABLE"))} == {
        "CLAUDE_CODE_ENABLE_TELEMETRY": "1",
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_LOGS_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_ENDPOINT": HOME,
        "OTEL_EXPORTER_OTLP_HEADERS": HEADERS,
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "cumulative",
        "OTEL_METRIC_EXPORT_INTERVAL": "10000",
        "OTEL_LOG_USER_PROMPTS": "0",
    }


def test_gemini_is_switched_on_and_keeps_prompts_to_itself(order):
    env = order("gemini").env
    assert {name: env[name] for name in env if name.startswith("GEMINI_TELEMETRY")} == {
        "GEMINI_TELEMETRY_ENABLED": "true",
        "GEMINI_TELEMETRY_TARGET": "local",
        "GEMINI_TELEMETRY_OTLP_PROTOCOL": "http",
        "GEMINI_TELEMETRY_OTLP_ENDPOINT": HOME,
        "GEMINI_TELEMETRY_LOG_PROMPTS": "false",
        "GEMINI_TELEMETRY_TRACES_ENABLED": "false",
    }


def test_codex_is_switched_on_and_keeps_prompts_to_itself(order):
    argv = order("codex").argv
    exporter = f'otel.metrics_exporter={{otlp-http={{endpoint="{HOME}/v1/metrics",protocol="binary"}}}}'
    assert argv[argv.index(exporter) - 1] == "-c"
    assert argv[argv.index("otel.log_user_prompt=false") - 1] == "-c"


@pytest.mark.parametrize("preset", ["drill", "aider", "opencode"])
def test_others_keep_what_the_operator_set(order, preset):
    env = order(preset).env
    assert env["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"] == "http://elsewhere.example"
    assert "OTEL_EXPORTER_OTLP_HEADERS" not in env


def test_the_token_may_not_become_an_argument():
    with pytest.raises(PresetError, match="env_add alone"):
        parse_preset("mine", {"argv": ["tool", "--headers={otlp_headers}"], "executable": "tool"})
