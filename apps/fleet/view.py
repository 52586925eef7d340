"""Directories that an agent sees at other paths than their own (viewer.py), and whether this machine can do that."""

import functools
import sys
import tempfile
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from apps.fleet.models import Agent, Host
from apps.fleet.readings import answers
from apps.lib.process import ProgramMissing, run

SCRIPT = Path(__file__).with_name("viewer.py")
Pairs = Sequence[Sequence[str]]  # each a directory, and where it is seen


def prefix(pairs: Pairs, cwd: str) -> list[str]:
    """The words before a program that shall see all of `pairs`, and begin in `cwd`; none for none."""
    if not pairs:
        return []
    return [sys.executable, "-IS", str(SCRIPT), *(word for pair in pairs for word in pair), "--", cwd]


def seen_at(pairs: Pairs, path: str) -> str:
    return next((place for source, place in pairs if source == path), path)


def workspace_of(agent: Agent) -> str:
    """Its workspace's path as the agent sees it."""
    return seen_at(agent.view, agent.workspace_path)


@functools.cache
def obstacle() -> str:
    """Why no agent can be given a view on this machine, "" when they can. Tried once in the life of a process."""
    with tempfile.TemporaryDirectory(prefix="yard-view-") as directory:
        source, place = Path(directory, "source"), Path(directory, "place")
        source.mkdir()
        place.mkdir()
        (source / "seen").write_text("seen")
        try:
            done = run([*prefix([(str(source), str(place))], str(place)), "cat", "seen"], timeout=20)
        except ProgramMissing as error:
            return str(error)
    if done.ok and done.text() == "seen":
        return ""
    said = done.stderr.decode("utf-8", "replace").strip().rpartition("was not started: ")[2]
    return f"mount namespaces can't be had here ({said or 'no reason given'})"


def problems(hosts: Iterable[Host], now: datetime) -> dict[str, str]:
    """By the name of each host that answers and can't: why."""
    return {
        host.name: why
        for host in hosts
        if host.equipment and answers(host, now) and (why := host.equipment.get("view_problem", ""))
    }


def can(host: Host) -> bool:
    """By what the host's own process found. One that has not reported yet can't."""
    return (host.equipment or {}).get("view_problem") == ""
