"""OpenCode: `opencode run --format json`."""

from typing import Any

from apps.fleet.domain.output.observation import Observation, Status, Usage, count, money
from apps.fleet.domain.output.parser import (
    NOTHING_COUNTED,
    JsonLineParser,
    activity,
    brief_arguments,
    object_at,
    result,
    session,
    text_at,
)


class OpencodeParser(JsonLineParser):
    """Each `step_finish` has the tokens and the price of its own step.

    A step that ends for any reason but tool calls ends the work.
    """

    def __init__(self, counted: Usage = NOTHING_COUNTED) -> None:
        super().__init__(counted)
        self._answer = ""

    def read_event(self, event: dict[str, Any]) -> list[Observation]:
        part = object_at(event, "part")
        found: list[Observation] = session(event.get("sessionID"))
        match event.get("type"):
            case "step_start":
                return [*found, Status("busy")]
            case "text":
                self._answer = text_at(part, "text")
                return [*found, *activity(self._answer)]
            case "tool_use":
                return [*found, Status("busy"), *activity(_tool(part))]
            case "step_finish":
                return [*found, *self._step(part)]
            case "error":
                return [*found, result(False, _error(event.get("error"))), Status("idle")]
        return found

    def _step(self, part: dict[str, Any]) -> list[Observation]:
        tokens = object_at(part, "tokens")
        self._usage += Usage(
            count(tokens.get("input")),
            count(tokens.get("output")) + count(tokens.get("reasoning")),
            count(object_at(tokens, "cache").get("read")),
            count(object_at(tokens, "cache").get("write")),
            money(part.get("cost")),
        )
        if part.get("reason") == "tool-calls":
            return [self._usage]
        return [self._usage, result(part.get("reason") == "stop", self._answer), Status("idle")]


def _tool(part: dict[str, Any]) -> str:
    state = object_at(part, "state")
    return f"{text_at(part, 'tool')} {text_at(state, 'title') or brief_arguments(object_at(state, 'input'))}"


def _error(error: Any) -> str:
    return (
        text_at(error, "data", "message") or text_at(error, "message") or text_at(error, "name") or "failed"
    )
