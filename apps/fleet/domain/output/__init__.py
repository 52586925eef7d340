"""Reading what agents print. `new_parser(name)` gives one for a preset's `parser`."""

from collections.abc import Callable

from apps.fleet.domain.output.aider import AiderParser
from apps.fleet.domain.output.claude import ClaudeParser
from apps.fleet.domain.output.codex import CodexParser
from apps.fleet.domain.output.drill import DrillParser
from apps.fleet.domain.output.gemini import GeminiParser
from apps.fleet.domain.output.observation import Activity, Observation, Result, Session, Status, Usage
from apps.fleet.domain.output.opencode import OpencodeParser
from apps.fleet.domain.output.parser import NOTHING_COUNTED, Parser
from apps.fleet.domain.output.plain import PlainParser

PARSERS: dict[str, Callable[[Usage], Parser]] = {
    "plain": PlainParser,
    "claude": ClaudeParser,
    "codex": CodexParser,
    "gemini": GeminiParser,
    "opencode": OpencodeParser,
    "aider": AiderParser,
    "drill": DrillParser,
}


def new_parser(name: str, counted: Usage = NOTHING_COUNTED) -> Parser:
    """A parser for one process. A reader that comes back to one that runs passes the totals it had stored."""
    return PARSERS[name](counted)


__all__ = [
    "PARSERS",
    "Activity",
    "Observation",
    "Parser",
    "Result",
    "Session",
    "Status",
    "Usage",
    "new_parser",
]
