"""Cold builds at once: with build slots alone, with slots and a jobserver that all share, with the jobserver alone.

Each agent has an empty build directory, so all of them compile as much as they can. Arms take turns; medians. A
jobserver alone leaves each build the one compiler that needs no token, so it doesn't bound how many build.
"""

import argparse
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from builds import files_to_edit
from contention import Span, together, without_slots
from report import Figure, machine, median, say, show
from rust_workspace import make_workspace
from warm_yard import BuildingAgent, WarmYard, set_up

BUILD = "cargo build -q --workspace"
ARMS = ("slots", "both", "alone")


def main() -> None:
    chosen = options()
    where = machine()
    directory = Path(tempfile.mkdtemp(prefix="yard-bench-", dir="/tmp"))
    count, rounds = (4 if chosen.quick else 8), (1 if chosen.cores else 3)
    sizes = {"crates": 8, "modules": 2} if chosen.quick else {"crates": 16, "modules": 12}
    try:
        source = make_workspace(directory / "source", **sizes)
        set_up(directory / "home")
        yard = WarmYard(source, "main")
        cores = chosen.cores or where["cores"]
        figures = compare(yard, files_to_edit(source, count), rounds, int(str(cores)))
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    show("jobserver", where, figures, as_json=chosen.json)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, smaller sizes, four agents")
    parser.add_argument(
        "--cores", type=int, default=0, help="as on a machine with so many; memory alone tells then"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser.parse_args()


def compare(yard: WarmYard, paths: Sequence[str], rounds: int, cores: int) -> list[Figure]:
    from apps.builds import jobserver, places

    jobserver.make_ready(cores)
    (places.slots() / "limit").write_text(str(cores))

    def cold() -> BuildingAgent:
        agent = yard.agent(warm=False)
        agent.environment["CARGO_BUILD_JOBS"] = str(cores)
        return agent

    def sharing(agent: BuildingAgent) -> BuildingAgent:
        agent.environment["SWARMYARD_BUILD_JOBSERVER"] = str(places.jobserver())
        return agent

    arms: dict[str, Callable[[], BuildingAgent]] = {
        "slots": cold,
        "both": lambda: sharing(cold()),
        "alone": lambda: without_slots(sharing(cold())),
    }
    spans: dict[str, list[Span]] = {name: [] for name in ARMS}
    for number in range(rounds):
        for name in ARMS:
            agents = [arms[name]() for _ in paths]
            spans[name].append(together(agents, BUILD, paths, salt=f"{number}{name}"))
            say(
                f"round {number + 1}, {name}: {spans[name][-1].seconds:.1f} s, {spans[name][-1].peak_mb:.0f} MB"
            )
    return figures_of(spans)


def figures_of(spans: dict[str, list[Span]]) -> list[Figure]:
    figures = []
    for name in ARMS:
        figures += [
            Figure(f"jobserver_{name}_s", median([span.seconds for span in spans[name]]), "s", None, "lower"),
            Figure(
                f"jobserver_{name}_mb", median([span.peak_mb for span in spans[name]]), "MB", None, "lower"
            ),
        ]
    pairs = list(zip(spans["both"], spans["slots"], strict=True))
    return [
        *figures,
        Figure("jobserver_ratio", median([a.seconds / b.seconds for a, b in pairs]), "times", 1.0, "lower"),
        Figure(
            "jobserver_peak_ratio", median([a.peak_mb / b.peak_mb for a, b in pairs]), "times", 1.0, "lower"
        ),
    ]


if __name__ == "__main__":
    main()
