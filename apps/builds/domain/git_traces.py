"""What git tells of one of its commands by trace2, in JSON: whose it was, when it ran, which lock it was refused.

git doesn't say that it waits, only that it gave up: at once for its index, after `core.filesRefLockTimeout` (100 ms)
for a reference, after `core.packedRefsTimeout` (1 s) for those that are packed. How long it had waited is told by the
line before. A wait that ended well within these times isn't seen.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

AGENT = "yard-"  # begins the name of the session that agents' git belongs to; their number follows
REFUSED = re.compile(r"(?:'([^'\n]+\.lock)'|could not lock config file (\S[^\n]*?)): File exists")


@dataclass(frozen=True, slots=True)
class Refusal:
    """`at`: unix seconds, when git gave up. `ms`: how long it had tried, at most."""

    path: str
    at: float
    ms: float


@dataclass(frozen=True, slots=True)
class GitCommand:
    """`session`: the command that a user called, the same for all that it started. `ended` None: it runs, or was
    killed. Times in unix seconds."""

    agent: int | None
    session: str
    pid: int
    name: str
    began: float
    ended: float | None
    code: int | None
    refusal: Refusal | None

    def was_running(self, at: float) -> bool:
        return self.began <= at and (self.ended is None or at <= self.ended)


def command_in(trace: str) -> GitCommand | None:
    """None when nothing can be known from it."""
    events = list(events_in(trace))
    if not events:
        return None
    sid = str(events[0].get("sid", ""))
    last = events[-1]
    has_ended = last.get("event") in ("atexit", "signal")
    code = last.get("code") if has_ended else None
    return GitCommand(
        agent=agent_in(sid),
        session=session_in(sid),
        pid=pid_in(sid),
        name=next((str(each.get("name", "")) for each in events if each.get("event") == "cmd_name"), ""),
        began=moment_of(events[0]),
        ended=moment_of(last) if has_ended else None,
        code=code if isinstance(code, int) else None,
        refusal=refusal_in(events),
    )


def events_in(trace: str) -> Iterable[dict[str, object]]:
    """Those that tell their time. A last line may be half written."""
    for line in trace.splitlines():
        try:
            event = json.loads(line)
            moment_of(event)
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        yield event


def refusal_in(events: list[dict[str, object]]) -> Refusal | None:
    """The first: what it couldn't do for want of that lock may be told again by whoever called it."""
    for before, event in pairwise(events):
        found = REFUSED.search(str(event.get("msg", ""))) if event.get("event") == "error" else None
        if found:
            at = moment_of(event)
            path = found[1] or f"{found[2]}.lock"
            return Refusal(path, at, max(0.0, (at - moment_of(before)) * 1000))
    return None


def moment_of(event: dict[str, object]) -> float:
    return datetime.fromisoformat(str(event["time"])).timestamp()


def agent_in(sid: str) -> int | None:
    number = sid.partition("/")[0].removeprefix(AGENT)
    is_ours = sid.startswith(AGENT) and number.isascii() and number.isdigit()
    return int(number[:18]) if is_ours else None


def session_in(sid: str) -> str:
    parts = sid.split("/")
    return parts[1] if len(parts) > 1 and parts[0].startswith(AGENT) else parts[0]


def pid_in(sid: str) -> int:
    """Of a session's name: a time, the host, the pid in hexadecimal."""
    found = re.search(r"-P([0-9a-f]{1,8})$", sid)
    return int(found[1], 16) if found else 0


def holder_of(refused: GitCommand, others: Iterable[GitCommand]) -> GitCommand | None:
    """Of the commands that ran when it was refused, the one that had run longest; a guess where there are several."""
    if refused.refusal is None:
        return None
    at = refused.refusal.at
    running = [each for each in others if each.session != refused.session and each.was_running(at)]
    return min(running, key=lambda each: each.began, default=None)
