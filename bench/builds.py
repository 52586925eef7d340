"""What a warm start and directories of one's own are worth: agents' first builds, their first edits, and agents that
edit and build at once: in warm directories against cold ones, and against one that they share.

On a generated workspace of path dependencies, or a clone of the repository given (which must build offline). Cold: an
empty build directory for each agent. Both arms go through the shim, so both have the build slots of the machine; they
take turns. Seconds of making a warm directory count as part of the first build.
"""

import argparse
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from contention import contention
from report import Figure, machine, median, say, show
from rust_workspace import make_workspace
from warm_yard import BuildingAgent, WarmYard, finish, set_up

BUILD = """
cargo check -q --workspace --all-targets
cargo test -q --workspace --no-run
cargo build -q --workspace
"""
MB = 1_000_000
BLOCK = 512


def main() -> None:
    chosen = options()
    where = machine()
    directory = Path(tempfile.mkdtemp(prefix="yard-bench-", dir="/tmp"))
    try:
        source, branch = source_of(chosen, directory)
        set_up(directory / "home")
        yard = WarmYard(source, branch)
        if yard.obstacle:
            say(f"no view: {yard.obstacle}; only dependencies will be warm")
        say(f"base built in {yard.build_base():.1f} s")
        rounds, agents = (1, 2) if chosen.quick else (3, 8)
        figures = first_builds(yard, rounds) + swarms(yard, agents, 1 if chosen.quick else 2)
        counts = [2] if chosen.quick else [2, 4, 8]
        figures += contention(
            yard, BUILD, files_to_edit(yard.source, agents), counts, 1 if chosen.quick else 2
        )
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    show("builds", where, figures, as_json=chosen.json)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path, help="a git repository with a Cargo.toml at its top")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, smaller sizes, two agents")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser.parse_args()


def source_of(chosen: argparse.Namespace, directory: Path) -> tuple[Path, str]:
    """A repository of our own, and its branch."""
    place = directory / "source"
    if chosen.repository is None:
        sizes = {"crates": 12, "modules": 3} if chosen.quick else {"crates": 16, "modules": 12}
        return make_workspace(place, **sizes), "main"
    subprocess.run(["git", "clone", "-q", str(chosen.repository.resolve()), str(place)], check=True)
    words = ["git", "-C", str(place), "branch", "--show-current"]
    return place, subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


def first_builds(yard: WarmYard, rounds: int) -> list[Figure]:
    """Of a new agent, and of its first edit; that of a cold agent is one in a checkout that it has built itself."""
    cold: list[float] = []
    warm: list[float] = []
    seeds: list[float] = []
    edits: dict[str, list[float]] = {"cold": [], "warm": []}
    disk: dict[str, list[float]] = {"cold": [], "warm": []}
    paths = files_to_edit(yard.source, rounds)
    for number in range(rounds):
        for kind in ("cold", "warm"):
            agent = yard.agent(warm=kind == "warm")
            seconds = agent.seed_seconds + agent.build(BUILD)
            (warm if kind == "warm" else cold).append(seconds)
            if kind == "warm":
                seeds.append(agent.seed_seconds)
            agent.edit(paths[number], number)
            edits[kind].append(agent.build(BUILD))
            disk[kind].append(own_bytes(agent) / MB)
        say(f"round {number + 1}: cold {cold[-1]:.1f} s, warm {warm[-1]:.2f} s")
    return [
        Figure("cold_build_s", median(cold), "s", None, "lower"),
        Figure("seed_s", median(seeds), "s", None, "lower"),
        Figure("warm_build_s", median(warm), "s", None, "lower"),
        Figure("warm_ratio", ratio(cold, warm), "times", 10.0, "higher"),
        Figure("own_edit_s", median(edits["cold"]), "s", None, "lower"),
        Figure("warm_edit_s", median(edits["warm"]), "s", None, "lower"),
        Figure("incremental_ratio", ratio(edits["warm"], edits["cold"]), "times", 1.1, "lower"),
        Figure("disk_cold_mb", median(disk["cold"]), "MB", None, "lower"),
        Figure("disk_warm_mb", median(disk["warm"]), "MB", None, "lower"),
    ]


def swarms(yard: WarmYard, count: int, rounds: int) -> list[Figure]:
    """Makespan of `count` agents that each edit another file and build all, from the making of their directories on."""
    spans: dict[str, list[float]] = {"cold": [], "warm": []}
    paths = files_to_edit(yard.source, count)
    for number in range(rounds):
        for kind in ("cold", "warm"):
            agents = [yard.agent(warm=kind == "warm") for _ in range(count)]
            for position, agent in enumerate(agents):
                agent.edit(paths[position], position)
            seconds = together(agents) + sum(agent.seed_seconds for agent in agents)
            spans[kind].append(seconds)
            for agent in agents:
                shutil.rmtree(agent.built, ignore_errors=True)
        say(f"swarm {number + 1}: cold {spans['cold'][-1]:.1f} s, warm {spans['warm'][-1]:.1f} s")
    return [
        Figure("swarm_agents", count, "agents", None, "higher"),
        Figure("swarm_cold_s", median(spans["cold"]), "s", None, "lower"),
        Figure("swarm_warm_s", median(spans["warm"]), "s", None, "lower"),
        Figure("swarm_ratio", ratio(spans["cold"], spans["warm"]), "times", 10.0, "higher"),
    ]


def together(agents: Sequence[BuildingAgent]) -> float:
    began = time.monotonic()
    running = [agent.start(BUILD) for agent in agents]
    for process in running:
        finish(process)
    return time.monotonic() - began


def ratio(above: Sequence[float], below: Sequence[float]) -> float:
    return median([one / other for one, other in zip(above, below, strict=True)])


def files_to_edit(source: Path, count: int) -> list[str]:
    """Sources of libraries and programs, spread over the repository; one alone is in the middle of it."""
    words = ["git", "-C", str(source), "ls-files", "*.rs"]
    listed = subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()
    sources = [
        path for path in listed if "src/" in path and not path.endswith(("build.rs", "lib.rs", "main.rs"))
    ]
    sources = sources or [path for path in listed if "src/" in path]
    return [sources[(2 * number + 1) * len(sources) // (2 * count)] for number in range(count)]


def own_bytes(agent: BuildingAgent) -> int:
    """Of its build directory, by blocks: what goes when it is removed. Blocks shared by reflinks count as its own."""
    total = 0
    inside: dict[int, int] = {}
    for place, _, names in os.walk(agent.built):
        for name in (".", *names):
            status = (Path(place) / name).lstat()
            inside[status.st_ino] = inside.get(status.st_ino, 0) + 1
            if name == "." or status.st_nlink == inside[status.st_ino]:
                total += status.st_blocks * BLOCK
    return total


if __name__ == "__main__":
    main()
