"""What the shim adds to a build tool: the same command with and without it, in turn; medians.

The tool itself does nothing here, so that all of the difference is the shim: its start, a slot, a build directory,
three reports. `shim_pass_ms` is the same for a command that builds nothing, which is passed on, and `shim_cpu_ms` what
it costs in CPU time, which a busy machine changes less.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from report import Figure, machine, median, options, say, show

ROOT = Path(__file__).parents[1]
GOAL_MS = 30.0


def main() -> None:
    chosen = options(__doc__)
    where = machine()
    rounds = 40 if chosen.quick else 300
    with tempfile.TemporaryDirectory(prefix="yard-shim-") as folder:
        environment = prepare(Path(folder))
        say(f"{rounds} rounds of each arm")
        arms = {"plain": "real/cargo", "build": "shims/cargo", "pass": "shims/cargo"}
        words = {"plain": "check", "build": "check", "pass": "--version"}
        times: dict[str, list[float]] = {name: [] for name in arms}
        costs: dict[str, list[float]] = {name: [] for name in arms}
        for _round in range(rounds):
            for name, program in arms.items():
                took, cost = run([f"{folder}/{program}", words[name]], environment)
                times[name].append(took)
                costs[name].append(cost)
    plain = median(times["plain"])
    figures = [
        Figure("shim_ms", median(times["build"]) - plain, "ms", GOAL_MS, "lower"),
        Figure("shim_pass_ms", median(times["pass"]) - plain, "ms", GOAL_MS, "lower"),
        Figure("shim_cpu_ms", median(costs["build"]) - median(costs["plain"]), "ms", None, "lower"),
    ]
    show("shim", where, figures, as_json=chosen.json)


def prepare(folder: Path) -> dict[str, str]:
    for name in ("shims", "real", "slots", "reports", "directories"):
        (folder / name).mkdir()
    shim = f'exec {sys.executable} -IS {ROOT}/agentkit/shims.py cargo "$@"\n'
    for place, text in (("shims", shim), ("real", "exit 0\n")):
        script = folder / place / "cargo"
        script.write_text(f"#!/bin/sh\n{text}")
        script.chmod(0o755)
    return os.environ | {
        "PATH": f"{folder}/shims:{folder}/real:{os.environ['PATH']}",
        "SWARMYARD_SHIMS": f"{folder}/shims",
        "SWARMYARD_SLOTS": f"{folder}/slots",
        "SWARMYARD_BUILD_REPORTS": f"{folder}/reports",
        "SWARMYARD_BUILD_DIRS": f"{folder}/directories",
    }


def run(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Milliseconds by the clock, and of CPU time."""
    began, used = time.perf_counter(), cpu_seconds()
    subprocess.run(command, env=environment, check=True, cwd="/")
    return (time.perf_counter() - began) * 1000, (cpu_seconds() - used) * 1000


def cpu_seconds() -> float:
    """Of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
