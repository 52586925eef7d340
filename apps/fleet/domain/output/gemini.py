"""Gemini CLI: `--output-format stream-json`."""

from typing import Any

from apps.fleet.domain.output.observation import Observation, Status, Usage, count
from apps.fleet.domain.output.parser import (
    NOTHING_COUNTED,
    RESULT_CHARACTERS,
    JsonLineParser,
    activity,
    brief_arguments,
    object_at,
    result,
    session,
    text_at,
)


class GeminiParser(JsonLineParser):
    """Tokens come once, on `result`. The answer comes in pieces; they are put together, up to a limit."""

    def __init__(self, counted: Usage = NOTHING_COUNTED) -> None:
        super().__init__(counted)
        self._answer = ""

    def read_event(self, event: dict[str, Any]) -> list[Observation]:
        match event.get("type"):
            case "init":
                return [*session(event.get("session_id")), Status("busy")]
            case "message":
                return self._message(event)
            case "tool_use":
                self._answer = ""
                arguments = brief_arguments(object_at(event, "parameters"))
                return [Status("busy"), *activity(f"{text_at(event, 'tool_name')} {arguments}")]
            case "error":
                return activity(text_at(event, "message"))
            case "result":
                return self._result(event)
        return []

    def _message(self, event: dict[str, Any]) -> list[Observation]:
        if event.get("role") != "assistant":
            return []
        before = self._answer if event.get("delta") is True else ""
        self._answer = (before + text_at(event, "content"))[: RESULT_CHARACTERS * 2]
        return [Status("busy"), *activity(self._answer)]

    def _result(self, event: dict[str, Any]) -> list[Observation]:
        ok = event.get("status") == "success"
        text = self._answer if ok else text_at(event, "error", "message")
        return [*self._tokens(object_at(event, "stats")), result(ok, text), Status("idle")]

    def _tokens(self, stats: dict[str, Any]) -> list[Observation]:
        if not stats:
            return []
        cached = count(stats.get("cached"))
        sent = count(stats.get("input_tokens"))
        # What is neither sent nor answered was thought.
        received = max(count(stats.get("output_tokens")), count(stats.get("total_tokens")) - sent)
        self._usage = Usage(max(sent - cached, 0), received, cached)
        return [self._usage]
