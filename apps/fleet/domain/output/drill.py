"""The drill of `agentkit`: it reports over its websocket, and what it prints is for people but for its last line."""

from typing import Any

from apps.fleet.domain.output.observation import Observation, count
from apps.fleet.domain.output.parser import LineParser, activity, json_object


class DrillParser(LineParser):
    def read_line(self, line: bytes) -> list[Observation] | None:
        if not line.startswith(b'{"drill": '):
            return None
        summary = json_object(line)
        return None if summary is None else activity(in_words(summary))


def in_words(summary: dict[str, Any]) -> str:
    """As in "did 40 operations, 2 failed on purpose, 12 commits"."""
    operations, commits = count(summary.get("operations")), count(summary.get("commits"))
    pieces = [f"did {operations} operation{'' if operations == 1 else 's'}"]
    for key, word in (("errors", "failed"), ("induced", "failed on purpose")):
        if number := count(summary.get(key)):
            pieces.append(f"{number} {word}")
    if commits:
        pieces.append(f"{commits} commit{'' if commits == 1 else 's'}")
    if unsaid := count(summary.get("unacked")) + count(summary.get("dropped")):
        pieces.append(f"{unsaid} not reported")
    return ", ".join(pieces)
