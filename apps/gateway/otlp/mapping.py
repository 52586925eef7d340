"""What the metrics and events of known agents are called here. Data alone; docs/reference/otlp.md is tested with it.

An agent's events and its metrics tell the same tokens and costs, so only metrics count for these. Events are read for
latencies where no metric tells them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

# By name here: how much of the amount counts there. Negative where a part is in another one as well.
Parts = Mapping[str, float]

ANY = ""
MODEL = "model"  # the attribute by which known agents name the model that used tokens


@dataclass(frozen=True, slots=True)
class Rule:
    """`by`: the attribute whose value chooses the part; ANY for all values. `summed`: of a histogram only the sum of
    its values matters."""

    parts: Mapping[str, Parts]
    by: str = ""
    summed: bool = False


def _all(name: str) -> Rule:
    return Rule({ANY: {name: 1}})


def _lines() -> Rule:
    return Rule({"added": {"lines.added": 1}, "removed": {"lines.removed": 1}}, by="type")


CACHED_INPUT: Parts = {
    "tokens.cache_read": 1,
    "tokens.input": -1,
}  # it is part of the input that is told, too
NOTHING: Parts = {}  # it is part of another one

METRICS: dict[str, Rule] = {
    "claude_code.token.usage": Rule(
        {
            "input": {"tokens.input": 1},
            "output": {"tokens.output": 1},
            "cacheRead": {"tokens.cache_read": 1},
            "cacheCreation": {"tokens.cache_write": 1},
        },
        by="type",
    ),
    "claude_code.cost.usage": _all("cost_usd"),
    "claude_code.commit.count": _all("commits"),
    "claude_code.pull_request.count": _all("pull_requests"),
    "claude_code.lines_of_code.count": _lines(),
    "claude_code.session.count": _all("sessions"),
    "claude_code.active_time.total": _all("active_s"),
    "codex.turn.token_usage": Rule(
        {
            "input": {"tokens.input": 1},
            "cached_input": CACHED_INPUT,
            "output": {"tokens.output": 1},
            "reasoning_output": NOTHING,
            "total": NOTHING,
        },
        by="token_type",
        summed=True,
    ),
    "codex.thread.started": _all("sessions"),
    "codex.tool.call.duration_ms": _all("tool.latency"),
    "codex.api_request.duration_ms": _all("model.latency"),
    "codex.websocket.request.duration_ms": _all("model.latency"),
    "gemini_cli.token.usage": Rule(
        {
            "input": {"tokens.input": 1},
            "cache": CACHED_INPUT,
            "output": {"tokens.output": 1},
            "thought": {"tokens.output": 1},
            "tool": {"tokens.input": 1},
        },
        by="type",
    ),
    "gemini_cli.session.count": _all("sessions"),
    "gemini_cli.lines.changed": _lines(),
    "gemini_cli.tool.call.latency": _all("tool.latency"),
    "gemini_cli.api.request.latency": _all("model.latency"),
}


@dataclass(frozen=True, slots=True)
class Event:
    """`latency`: the name of what its `duration_ms` is; `errors`: counted when it is one."""

    latency: str
    errors: str
    always_error: bool = False


EVENTS: dict[str, Event] = {
    "claude_code.tool_result": Event("tool.latency", "tool.errors"),
    "claude_code.api_request": Event("model.latency", "model.errors"),
    "claude_code.api_error": Event("model.latency", "model.errors", always_error=True),
}
