"""What all parsers share: bytes in, observations out, never an exception for what an agent printed."""

import re
from collections import deque
from typing import Any, Protocol

import msgspec

from apps.fleet.domain.output.lines import LineBuffer
from apps.fleet.domain.output.observation import Activity, Observation, Result, Session, Usage
from apps.lib.text import plain_text

ACTIVITY_CHARACTERS = 200
RESULT_CHARACTERS = 2_000
NOTHING_COUNTED = Usage()

_WORD = re.compile(rb"[\w\x80-\xff]")
# It may be handed back to the tool as an argument: no leading dash, nothing but name characters.
_SESSION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}")


class Parser(Protocol):
    def feed(self, data: bytes) -> list[Observation]:
        """Observations in the order of the output. However it is cut, the totals are the same."""

    @property
    def pending(self) -> int:
        """Bytes of the last, unfinished line: a reader that starts anew goes back this far."""

    @property
    def skipped(self) -> int:
        """Lines that were too long to be looked at."""


class LineParser:
    """The buffer and the memory of what was said last, so that a repeated observation isn't sent again."""

    def __init__(self, counted: Usage = NOTHING_COUNTED) -> None:
        self._buffer = LineBuffer()
        self._usage = counted
        self._said: dict[type, Observation] = {}

    @property
    def pending(self) -> int:
        return self._buffer.pending

    @property
    def skipped(self) -> int:
        return self._buffer.skipped

    def feed(self, data: bytes) -> list[Observation]:
        """Of lines that are mere words, only the last one is made plain, unless an event came after it.

        That is what costs: a tool may print a hundred megabytes of them a second.
        """
        observations: list[Observation] = []
        words: deque[bytes] = deque(maxlen=8)
        for line in self._buffer.feed(data):
            found = self.read_line(line)
            if found is not None:
                observations.extend(self._news(found))
                words.clear()
            elif _WORD.search(line):
                words.append(line)
        said = (activity(line.decode("utf-8", "replace")) for line in reversed(words))
        # A line may hold nothing but escapes, as the one that switches colours off at the end.
        return observations + self._news(next(filter(None, said), []))

    def read_line(self, line: bytes) -> list[Observation] | None:
        """What the line tells, or None if it is mere words."""
        raise NotImplementedError

    def _news(self, observations: list[Observation]) -> list[Observation]:
        news = []
        for observation in observations:
            if isinstance(observation, Result) or self._said.get(type(observation)) != observation:
                self._said[type(observation)] = observation
                news.append(observation)
        return news


class JsonLineParser(LineParser):
    """One JSON object a line. Anything else is words: tools print warnings between their events."""

    def read_line(self, line: bytes) -> list[Observation] | None:
        event = json_object(line)
        return None if event is None else self.read_event(event)

    def read_event(self, event: dict[str, Any]) -> list[Observation]:
        raise NotImplementedError


def json_object(line: bytes) -> dict[str, Any] | None:
    if not line.lstrip().startswith(b"{"):
        return None
    try:
        value = msgspec.json.decode(line.decode("utf-8", "replace"))
    except (msgspec.DecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def activity(text: str) -> list[Observation]:
    """One line for people, or nothing if nothing printable is left."""
    plain = plain_text(text, ACTIVITY_CHARACTERS)
    return [Activity(plain)] if plain else []


def result(ok: bool, text: str) -> Result:
    return Result(ok, plain_text(text, RESULT_CHARACTERS, keep_lines=True))


def session(value: object) -> list[Observation]:
    if isinstance(value, str) and _SESSION_ID.fullmatch(value):
        return [Session(value)]
    return []


def text_at(mapping: Any, *path: str) -> str:
    """The string at `path` in nested JSON objects, empty where there is none."""
    value = object_at(mapping, *path[:-1]).get(path[-1])
    return value if isinstance(value, str) else ""


def object_at(mapping: Any, *path: str) -> dict[str, Any]:
    """The JSON object at `path`, empty where there is none."""
    value = mapping
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def brief_arguments(arguments: Any) -> str:
    """A tool call's arguments as a few words: its command, path or query, else its first text."""
    if not isinstance(arguments, dict):
        return ""
    named = (text_at(arguments, key) for key in _TELLING)
    texts = (value for value in arguments.values() if isinstance(value, str))
    return next((text for text in (*named, *texts) if text), "")


_TELLING = ("command", "file_path", "filePath", "path", "pattern", "query", "url", "description")
