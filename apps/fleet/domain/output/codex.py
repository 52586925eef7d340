"""Codex: `codex exec --json`."""

from typing import Any

from apps.fleet.domain.output.observation import Observation, Status, Usage, count
from apps.fleet.domain.output.parser import JsonLineParser, activity, object_at, result, session, text_at


class CodexParser(JsonLineParser):
    """`turn.completed` carries the totals of the whole thread, so each replaces the one before.

    `error` is also how Codex says that it reconnects: only `turn.failed` ends the work.
    """

    _answer = ""

    def read_event(self, event: dict[str, Any]) -> list[Observation]:
        match event.get("type"):
            case "thread.started":
                return session(event.get("thread_id"))
            case "turn.started":
                return [Status("busy")]
            case "item.started" | "item.updated" | "item.completed":
                return [Status("busy"), *self._item(object_at(event, "item"))]
            case "request_user_input":
                return [Status("waiting")]
            case "turn.completed":
                return [*self._tokens(event), result(True, self._answer), Status("idle")]
            case "turn.failed":
                return [result(False, _message(text_at(event, "error", "message"))), Status("idle")]
            case "error":
                return activity(_message(text_at(event, "message")))
        return []

    def _item(self, item: dict[str, Any]) -> list[Observation]:
        match item.get("type"):
            case "agent_message":
                self._answer = text_at(item, "text")
                return activity(self._answer)
            case "command_execution":
                return activity(text_at(item, "command"))
            case "file_change":
                return activity("Edit " + ", ".join(_changed_paths(item)))
            case "mcp_tool_call":
                return activity(f"{text_at(item, 'server')} {text_at(item, 'tool')}")
            case "web_search":
                return activity("Search " + text_at(item, "query"))
            case "reasoning":
                return activity(text_at(item, "text"))
            case "error":
                return activity(_message(text_at(item, "message")))
        return []

    def _tokens(self, event: dict[str, Any]) -> list[Observation]:
        usage = object_at(event, "usage")
        if not usage:
            return []
        cached = count(usage.get("cached_input_tokens"))
        written = count(usage.get("cache_write_input_tokens"))
        fresh = max(count(usage.get("input_tokens")) - cached - written, 0)
        self._usage = Usage(fresh, count(usage.get("output_tokens")), cached, written)
        return [self._usage]


def _changed_paths(item: dict[str, Any]) -> list[str]:
    changes = item.get("changes")
    return [text_at(change, "path") for change in changes[:20]] if isinstance(changes, list) else []


def _message(text: str) -> str:
    return text or "failed without a message"
