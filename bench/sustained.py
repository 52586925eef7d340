"""100 drills at work for five minutes: is every operation that they report recorded, and did every one succeed that was
not made to fail on purpose?

Each drill prints a summary of its own count when it is stopped. The yard's count is what its telemetry process wrote to
the database. The two never share a counter.
"""

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from report import Figure, machine, options, say, show
from yard import Yard, cpu_seconds, make_repository

DRILL = ["--operations", "0", "--think-ms", "2000", "--fail-rate", "0.02", "--overlap", "0.2"]
ROLLED_UP_WITHIN = 20.0  # seconds after the last sample
COUNT = """
import json
from apps.fleet.models import Agent
from apps.telemetry.queries import recorded
rows = {agent.name: recorded(agent.pk) for agent in Agent.objects.filter(group=%r)}
print(json.dumps({name: [row.operations, row.ok, row.errors, row.induced] for name, row in rows.items()}))
"""


def main() -> None:
    chosen = options(__doc__)
    where = machine()
    agents, seconds = (20, 20) if chosen.quick else (100, 300)
    with tempfile.TemporaryDirectory() as directory, Yard() as yard:
        figures = run(yard, Path(directory), agents, seconds)
    show("sustained", where, figures, as_json=chosen.json)


def run(yard: Yard, directory: Path, agents: int, seconds: int) -> list[Figure]:
    repository = make_repository(directory / "sustained")
    yard.api("POST", "/repositories", {"path_or_url": str(repository)})
    body = {"repository": repository.name, "preset": "drill", "agents": agents, "command": DRILL}
    wave = yard.api("POST", "/waves", body)["wave"]
    yard.wait_for(wave, {"running", "paused", "waiting"}, agents, seconds=120)
    say(f"{agents} drills run; waiting {seconds} s")
    plane, begun = plane_cpu(yard), time.monotonic()
    time.sleep(seconds)
    cpu = (plane_cpu(yard) - plane) / (time.monotonic() - begun) * 100
    yard.end(wave)
    reports = {agent["name"]: summary(yard.first_output(agent)) for agent in yard.agents(wave)}
    silent = [name for name, report in reports.items() if report is None]
    said = [report for report in reports.values() if report is not None]
    recorded = wait_for_record(yard, wave, sum(report["operations"] for report in said))
    return figures(said, recorded, silent=len(silent), cpu=cpu, seconds=seconds)


def figures(
    said: list[dict[str, Any]], recorded: dict[str, list[int]], *, silent: int, cpu: float, seconds: int
) -> list[Figure]:
    operations = sum(report["operations"] for report in said)
    good, induced = sum(report["ok"] for report in said), sum(report["induced"] for report in said)
    written = [sum(column) for column in zip(*recorded.values(), strict=True)]
    return [
        Figure("sustained_success_pct", 100 * good / max(1, operations - induced), "%", 99.9, "higher"),
        Figure("sustained_operations", operations, "", None, "higher"),
        Figure("sustained_per_s", operations / seconds, "op/s", None, "higher"),
        Figure("sustained_missing", operations - written[0], "", 0, "lower"),
        Figure("sustained_induced_missing", induced - written[3], "", 0, "lower"),
        Figure("sustained_dropped", sum(report["dropped"] for report in said), "", 0, "lower"),
        Figure("sustained_silent_agents", silent, "", 0, "lower"),
        Figure("sustained_plane_cpu_pct", cpu, "% of a core", None, "lower"),
    ]


def summary(log: Path) -> dict[str, Any] | None:
    """The drill's own count, the last line that it printed."""
    for line in reversed(log.read_text(errors="replace").splitlines()):
        if line.startswith('{"drill"'):
            return dict(json.loads(line))
    return None


def wait_for_record(yard: Yard, wave: str, expected: int) -> dict[str, list[int]]:
    """What the yard recorded, as soon as it is all there, or after the time that a roll-up may take."""
    deadline = time.monotonic() + ROLLED_UP_WITHIN
    while True:
        found: dict[str, list[int]] = json.loads(yard.manage("shell", "-v", "0", "-c", COUNT % wave))
        if sum(row[0] for row in found.values()) >= expected or time.monotonic() > deadline:
            return found
        time.sleep(1)


def plane_cpu(yard: Yard) -> float:
    return sum(seconds_of(yard.plane()))


def seconds_of(pids: dict[int, str]) -> Iterator[float]:
    for pid in pids:
        try:
            yield cpu_seconds(pid)
        except OSError:
            continue


if __name__ == "__main__":
    main()
