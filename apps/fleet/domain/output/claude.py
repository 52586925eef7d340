"""Claude Code: `--output-format stream-json --verbose`."""

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

# Messages of subagents interleave; more than this many are never open at once.
OPEN_MESSAGES = 64


class ClaudeParser(JsonLineParser):
    """A message comes as a line per content block, each with the message's usage so far: counted once, by id.

    The `result` line has the totals of the run, subagents and side models included, and replaces the sum.
    """

    def __init__(self, counted: Usage = NOTHING_COUNTED) -> None:
        super().__init__(counted)
        self._messages: dict[str, Usage] = {}

    def read_event(self, event: dict[str, Any]) -> list[Observation]:
        match event.get("type"):
            case "system":
                return self._system(event)
            case "assistant":
                return [*session(event.get("session_id")), Status("busy"), *self._assistant(event)]
            case "result":
                return [*session(event.get("session_id")), *self._result(event)]
        return []

    def _system(self, event: dict[str, Any]) -> list[Observation]:
        match event.get("subtype"):
            case "init":
                return [*session(event.get("session_id")), Status("busy")]
            case "api_retry":
                attempt, most = count(event.get("attempt")), count(event.get("max_retries"))
                return activity(f"The model's API fails: retry {attempt} of {most}")
        return []

    def _assistant(self, event: dict[str, Any]) -> list[Observation]:
        message = object_at(event, "message")
        seen: list[Observation] = []
        blocks = message.get("content")
        for block in blocks if isinstance(blocks, list) else []:
            seen.extend(_block(block))
        usage = object_at(message, "usage")
        if usage:
            self._count_message(text_at(message, "id"), _tokens(usage))
            seen.append(self._total())
        return seen

    def _count_message(self, message_id: str, usage: Usage) -> None:
        self._messages[message_id] = usage
        if len(self._messages) > OPEN_MESSAGES:
            oldest = next(iter(self._messages))
            self._usage += self._messages.pop(oldest)

    def _total(self) -> Usage:
        return sum(self._messages.values(), start=self._usage)

    def _result(self, event: dict[str, Any]) -> list[Observation]:
        totals = _run_totals(event)
        if totals is not None:
            self._usage = totals
        else:
            self._usage = self._total()
        self._messages.clear()
        ok = event.get("subtype") == "success" and event.get("is_error") is not True
        return [self._usage, result(ok, _result_text(event)), Status("idle")]


def _block(block: Any) -> list[Observation]:
    match text_at(block, "type"):
        case "text":
            return activity(text_at(block, "text"))
        case "tool_use":
            return activity(f"{text_at(block, 'name')} {brief_arguments(object_at(block, 'input'))}")
    return []


def _tokens(usage: dict[str, Any]) -> Usage:
    return Usage(
        count(usage.get("input_tokens")),
        count(usage.get("output_tokens")),
        count(usage.get("cache_read_input_tokens")),
        count(usage.get("cache_creation_input_tokens")),
    )


def _run_totals(event: dict[str, Any]) -> Usage | None:
    """`modelUsage` counts every model of the run, `usage` the main conversation. Old versions lack one."""
    cost = Usage(cost_usd=money(event.get("total_cost_usd")))
    models = [_model_tokens(model) for model in object_at(event, "modelUsage").values()]
    if models:
        return sum(models, start=cost)
    usage = object_at(event, "usage")
    return _tokens(usage) + cost if usage else None


def _model_tokens(model: Any) -> Usage:
    return Usage(
        count(object_at(model).get("inputTokens")),
        count(object_at(model).get("outputTokens")),
        count(object_at(model).get("cacheReadInputTokens")),
        count(object_at(model).get("cacheCreationInputTokens")),
    )


def _result_text(event: dict[str, Any]) -> str:
    errors = event.get("errors")
    listed = "\n".join(line for line in errors if isinstance(line, str)) if isinstance(errors, list) else ""
    return text_at(event, "result") or listed or text_at(event, "subtype").replace("_", " ")
