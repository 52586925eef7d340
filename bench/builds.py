"""What a warm start and directories of one's own are worth: agents' first builds, their first edits, and agents that
edit and build at once: in warm directories against cold ones, and against one that they share.

On a generated workspace of path dependencies, or a clone of the repository given (which must build offline). Cold: an
empty build directory for each agent. Both arms go through the shim, so both have the build slots of the machine; they
take turns, first the one, then the other. Seconds of making a warm directory count as part of the first build.
"""

import argparse
import json
import os
import resource
import subprocess
from collections.abc import Sequence
from pathlib import Path

from compiler_cache import CompilerCache, compiler_cache
from contention import contention
from own_place import own_place
from report import Figure, machine, median, say, show
from rust_workspace import make_workspace
from warm_yard import BuildingAgent, WarmYard, set_up

COMMANDS = (
    "cargo check --workspace --all-targets",
    "cargo test --workspace --no-run",
    "cargo build --workspace",
)
MB = 1_000_000
BLOCK = 512
SMALL = {"members": 12, "libraries": 10, "modules": 1}
LARGE = {"members": 12, "libraries": 20, "modules": 3}
# By the number of agents. What takes minutes for each arm is done twice.
ROUNDS = {2: 3, 4: 2, 8: 2}
FIRST_BUILDS, EDITS_EACH = 3, 3


def main() -> None:
    chosen = options()
    where = machine()
    with own_place() as directory:
        source, branch = source_of(chosen, directory)
        set_up(directory / "home")
        commands = chosen.command or COMMANDS
        script = "\n".join(commands)
        yard = WarmYard(source, branch, commands)
        if yard.obstacle:
            say(f"no view: {yard.obstacle}; only dependencies will be warm")
        say(f"base built in {yard.build_base():.1f} s")
        paths = files_to_edit(source, 8)
        cache = compiler_cache(yard, directory, script)
        figures = FirstBuilds(yard, script, paths, cache).measure(
            1 if chosen.quick else FIRST_BUILDS, 2 if chosen.quick else EDITS_EACH
        )
        figures += contention(yard, script, paths, {2: 1} if chosen.quick else ROUNDS)
    show("builds", where, figures, as_json=chosen.json)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path, help="a git repository with a Cargo.toml at its top")
    parser.add_argument(
        "--command",
        action="append",
        help="a cargo command of each build, may be repeated; else check, test and build",
    )
    parser.add_argument("--quick", action="store_true", help="one round, a smaller workspace, two agents")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser.parse_args()


def source_of(chosen: argparse.Namespace, directory: Path) -> tuple[Path, str]:
    """A repository of our own, and its branch."""
    place = directory / "source"
    if chosen.repository is None:
        return make_workspace(place, **(SMALL if chosen.quick else LARGE)), "main"
    subprocess.run(["git", "clone", "-q", str(chosen.repository.resolve()), str(place)], check=True)
    words = ["git", "-C", str(place), "branch", "--show-current"]
    return place, subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


class FirstBuilds:
    """Of new agents, and edits: the first one of a warm agent, against the same edit in a checkout that its agent has
    built itself."""

    def __init__(
        self, yard: WarmYard, script: str, paths: Sequence[str], cache: CompilerCache | None
    ) -> None:
        self.yard, self.script, self.paths, self.cache = yard, script, paths, cache
        self.took: dict[str, list[float]] = {
            name: [] for name in ("cold", "cached", "warm", "seed", "own_edit", "warm_edit")
        }
        # CPU time too: a busy machine changes it less.
        self.cpu: dict[str, list[float]] = {name: [] for name in ("own_edit", "warm_edit")}
        self.disk: dict[str, list[float]] = {name: [] for name in ("cold", "seeded", "edited")}

    def measure(self, rounds: int, edits: int) -> list[Figure]:
        for number in range(rounds):
            self.round(number, edits)
        took, disk = self.took, self.disk
        return [
            *self.cached_figures(),
            Figure("cold_build_s", median(took["cold"]), "s", None, "lower"),
            Figure("seed_s", median(took["seed"]), "s", None, "lower"),
            Figure("warm_build_s", median(took["warm"]), "s", None, "lower"),
            Figure("warm_ratio", median(took["cold"]) / median(took["warm"]), "times", 10.0, "higher"),
            Figure("own_edit_s", median(took["own_edit"]), "s", None, "lower"),
            Figure("warm_edit_s", median(took["warm_edit"]), "s", None, "lower"),
            Figure("incremental_ratio", ratio(took["warm_edit"], took["own_edit"]), "times", 1.1, "lower"),
            Figure(
                "incremental_cpu_ratio",
                ratio(self.cpu["warm_edit"], self.cpu["own_edit"]),
                "times",
                1.1,
                "lower",
            ),
            Figure("disk_cold_mb", median(disk["cold"]), "MB", None, "lower"),
            Figure("disk_seeded_mb", median(disk["seeded"]), "MB", None, "lower"),
            Figure("disk_warm_mb", median(disk["edited"]), "MB", None, "lower"),
        ]

    def cached_figures(self) -> list[Figure]:
        if not (cached := self.took["cached"]):
            return []
        cold = median(self.took["cold"])
        return [
            Figure("cached_build_s", median(cached), "s", None, "lower"),
            Figure("cached_ratio", cold / median(cached), "times", None, "higher"),
        ]

    def round(self, number: int, edits: int) -> None:
        own = self.yard.agent(warm=False)
        self.took["cold"].append(timed(own, self.script))
        self.disk["cold"].append(own_bytes(own) / MB)
        if self.cache:
            cached = self.cache.agent()
            self.took["cached"].append(timed(cached, self.script))
            cached.empty()
        for edit in range(edits):
            position = number * edits + edit
            path = self.paths[position % len(self.paths)]
            new = self.yard.agent(warm=True)
            self.disk["seeded"].append(own_bytes(new) / MB)
            self.took["seed"].append(new.seed_seconds)
            self.took["warm"].append(new.seed_seconds + timed(new, self.script))
            arms = [("own_edit", own), ("warm_edit", new)]
            for name, agent in arms if position % 2 else reversed(arms):
                agent.edit(path, position)
                before = cpu_seconds()
                self.took[name].append(timed(agent, self.script))
                self.cpu[name].append(cpu_seconds() - before)
            self.disk["edited"].append(own_bytes(new) / MB)
            new.empty()
        own.empty()
        say(
            ", ".join(
                f"{name} {' '.join(f'{one:.2f}' for one in found)} s" for name, found in self.took.items()
            )
        )


def cpu_seconds() -> float:
    """Of all children that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def timed(agent: BuildingAgent, script: str) -> float:
    os.sync()  # what was built before isn't written at the cost of this one
    return agent.build(script)


def ratio(above: Sequence[float], below: Sequence[float]) -> float:
    return median([one / other for one, other in zip(above, below, strict=True)])


def files_to_edit(source: Path, count: int) -> list[str]:
    """Sources of the workspace's members, spread over them. Again from the first where there are fewer."""
    words = ["cargo", "metadata", "--format-version", "1", "--no-deps", "--offline"]
    asked = subprocess.run(words, cwd=source, check=True, capture_output=True)
    members = [Path(package["manifest_path"]).parent for package in json.loads(asked.stdout)["packages"]]
    words = ["git", "-C", str(source), "ls-files", "*.rs"]
    listed = subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()
    sources = [path for path in listed if any(is_source_of(member, source / path) for member in members)]
    if not sources:
        raise RuntimeError("there is no source file to edit")
    return [sources[(2 * number + 1) * len(sources) // (2 * count)] for number in range(count)]


def is_source_of(member: Path, path: Path) -> bool:
    return path.is_relative_to(member / "src") and "bin" not in path.parts


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
