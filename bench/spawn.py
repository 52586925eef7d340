"""How fast agents come up, and what the control plane weighs: a yard against what its peers do by hand.

A spawn ends with the agent's first sign of life, the first line that it prints, which both arms wait for in the
same way; in the yard it must also have been seen by the host (first heartbeat). The peers' way: for one agent after
the other, `git worktree add`, then `tmux new-session` with the same command. Each round uses new repositories; the
arms take turns.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from report import Figure, machine, median, options, percentile, say, show
from yard import PROJECT, Yard, make_repository, memory_mb

CHEAP = ["sh", "-c", "echo up; exec sleep 600"]
DRILL = ["--operations", "0", "--think-ms", "60000"]
LIMIT = 120.0
TMUX = ["tmux", "-L", "yard-bench", "-f", "/dev/null"]


def main() -> None:
    chosen = options(__doc__)
    where = machine()
    rounds = 1 if chosen.quick else 5
    singles = 5 if chosen.quick else 20
    with tempfile.TemporaryDirectory() as directory, Yard() as yard:
        figures = spawns(yard, Path(directory), rounds, singles)
        figures += weight(yard, Path(directory))
    show("spawn", where, figures, as_json=chosen.json)


def spawns(yard: Yard, directory: Path, rounds: int, singles: int) -> list[Figure]:
    one, _, _ = many(yard, directory, "one", 1, CHEAP, singles, peers=False)
    eight, eight_peers, _ = many(yard, directory, "eight", 8, CHEAP, rounds)
    hundred, hundred_peers, each = many(yard, directory, "hundred", 100, CHEAP, rounds)
    drill, drill_peers, _ = many(yard, directory, "drill", 100, DRILL, max(1, rounds // 2), preset="drill")
    return [
        Figure("spawn_1_ms", percentile(one, 0.95) * 1000, "ms", None, "lower"),
        Figure("spawn_8_s", median(eight), "s", None, "lower"),
        Figure("spawn_8_ratio", ratio(eight_peers, eight), "times", None, "higher"),
        Figure("spawn_100_s", median(hundred), "s", 5.0, "lower"),
        Figure("spawn_100_peers_s", median(hundred_peers), "s", None, "lower"),
        Figure("spawn_100_ratio", ratio(hundred_peers, hundred), "times", 1.5, "higher"),
        Figure("spawn_agent_p95_ms", percentile(each, 0.95) * 1000, "ms", None, "lower"),
        Figure("spawn_100_drill_s", median(drill), "s", None, "lower"),
        Figure("spawn_100_drill_ratio", ratio(drill_peers, drill), "times", None, "higher"),
    ]


def ratio(peers: Sequence[float], ours: Sequence[float]) -> float:
    """The median over rounds of peers' time by ours: above 1 the yard is faster."""
    return median([theirs / mine for theirs, mine in zip(peers, ours, strict=True)])


def many(
    yard: Yard,
    directory: Path,
    name: str,
    count: int,
    command: list[str],
    rounds: int,
    *,
    preset: str = "command",
    peers: bool = True,
) -> tuple[list[float], list[float], list[float]]:
    """Seconds of each round in the yard and by hand, and the seconds that single agents took after their release."""
    ours, theirs, each = [], [], []
    for number in range(rounds):
        seconds, agents = in_the_yard(
            yard, make_repository(directory / f"{name}-yard-{number}"), count, command, preset
        )
        ours.append(seconds)
        each += agents
        if peers:
            repository = make_repository(directory / f"{name}-hand-{number}")
            theirs.append(by_hand(repository, count, command, preset))
            say(f"{name}, round {number + 1}: yard {ours[-1]:.2f} s, by hand {theirs[-1]:.2f} s")
        else:
            say(f"{name}, round {number + 1}: yard {ours[-1]:.3f} s")
    return ours, theirs, each


def in_the_yard(
    yard: Yard, repository: Path, count: int, command: list[str], preset: str
) -> tuple[float, list[float]]:
    yard.api("POST", "/repositories", {"path_or_url": str(repository)})
    body = {"repository": repository.name, "preset": preset, "agents": count, "command": command}
    begun, clock = time.monotonic(), time.time()
    wave = yard.api("POST", "/waves", {**body, "memory_budget_mb": 20})["wave"]
    paths: list[Path] = []
    deadline = begun + LIMIT
    while not paths and time.monotonic() < deadline:
        paths = [yard.first_output(agent) for agent in yard.agents(wave)]
    alive = wait_for_lines(paths, deadline) - begun
    agents = yard.agents(wave)
    while any(agent["first_seen_at"] is None for agent in agents) and time.monotonic() < deadline:
        time.sleep(0.1)
        agents = yard.agents(wave)
    heartbeats = [moment(agent["first_seen_at"]) for agent in agents]
    yard.end(wave)
    launched = [moment(agent["first_seen_at"]) - moment(agent["launched_at"]) for agent in agents]
    return max(alive, max(heartbeats) - clock), launched


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def by_hand(repository: Path, count: int, command: list[str], preset: str) -> float:
    trees, lines = (
        repository.with_name(f"{repository.name}-trees"),
        repository.with_name(f"{repository.name}-lines"),
    )
    trees.mkdir()
    lines.mkdir()
    argv = [sys.executable, "-m", "agentkit.drill", *command] if preset == "drill" else command
    paths = [lines / str(number) for number in range(count)]
    begun = time.monotonic()
    try:
        for number, path in enumerate(paths):
            tree = trees / f"agent-{number}"
            add = ["worktree", "add", "-q", "-b", f"hand/agent-{number}", str(tree)]
            subprocess.run(["git", "-C", str(repository), *add], check=True, capture_output=True)
            session = ["-s", f"{repository.name}-{number}", "-c", str(tree), "-e", f"PYTHONPATH={PROJECT}"]
            shell = ["sh", "-c", 'out=$0; exec "$@" >"$out" 2>&1', str(path), *argv]
            subprocess.run([*TMUX, "new-session", "-d", *session, *shell], check=True, capture_output=True)
        return wait_for_lines(paths, begun + LIMIT) - begun
    finally:
        subprocess.run([*TMUX, "kill-server"], check=False, capture_output=True)


def wait_for_lines(paths: Sequence[Path], deadline: float) -> float:
    """When the last of `paths` had something in it, on the monotonic clock. One is looked at at a time: a hundred looks
    every few milliseconds would take a tenth of a core from what is measured."""
    for number, path in enumerate(paths):
        while not has_content(path):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{len(paths) - number} of {len(paths)} agents gave no sign of life")
            time.sleep(0.01)
    return time.monotonic()


def has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False


def weight(yard: Yard, directory: Path) -> list[Figure]:
    """Memory of the control plane with no and with 100 idle agents, and what each agent adds beyond itself."""
    time.sleep(3)
    empty, empty_pss = total(yard, "Rss"), total(yard, "Pss")
    repository = make_repository(directory / "weight")
    yard.api("POST", "/repositories", {"path_or_url": str(repository)})
    body = {
        "repository": "weight",
        "preset": "command",
        "agents": 100,
        "command": CHEAP,
        "memory_budget_mb": 20,
    }
    wave = yard.api("POST", "/waves", body)["wave"]
    yard.wait_for(wave, {"running"}, 100, seconds=LIMIT)
    time.sleep(15)
    full, full_pss = total(yard, "Rss"), total(yard, "Pss")
    launchers = sum(memory_mb(pid, "Pss") for pid in launcher_pids(yard.home))
    yard.end(wave)
    return [
        Figure("plane_empty_rss_mb", empty, "MB", None, "lower"),
        Figure("plane_rss_mb", full, "MB", 700.0, "lower"),
        Figure("agent_overhead_mb", (full_pss - empty_pss + launchers) / 100, "MB", 3.0, "lower"),
    ]


def total(yard: Yard, kind: str) -> float:
    return sum(memory_mb(pid, kind) for pid in yard.plane())


def launcher_pids(home: Path) -> list[int]:
    """The launchers and loggers of this home's agents, by what their environment says."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if b"SWARMYARD_LAUNCH=" in environment and str(home).encode() in environment:
                found.append(int(entry.name))
    return found


if __name__ == "__main__":
    main()
