"""What it costs git to tell the host process what it does: `git status` and `git commit` with and without, in turn.

Medians. Nobody takes git's files away between, so the directory is emptied after each round. Time by the clock, and CPU
time, which a busy machine changes less.
"""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from report import Figure, machine, median, options, say, show
from shim import cpu_seconds

FILES = 1_000
GIT = ("git", "-c", "user.name=bench", "-c", "user.email=bench@example.invalid")
COMMANDS = {"status": ("status", "--porcelain"), "commit": ("commit", "-q", "--allow-empty", "-m", "x")}


def main() -> None:
    chosen = options(__doc__)
    where = machine()
    rounds = 60 if chosen.quick else 400
    folder = Path(tempfile.mkdtemp(prefix="yard-git-locks-"))
    try:
        make_repository(folder)
        say(f"{rounds} rounds of each arm")
        figures = [figure for name in COMMANDS for figure in compare(name, folder, rounds)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    show("git_locks", where, figures, as_json=chosen.json)


def make_repository(folder: Path) -> None:
    (folder / "traces").mkdir()
    place = folder / "repository"
    place.mkdir()
    for number in range(FILES):
        (place / f"{number}.txt").write_text(f"{number}\n")
    for words in (("init", "-q"), ("config", "gc.auto", "0"), ("add", "."), ("commit", "-q", "-m", "files")):
        subprocess.run([*GIT, *words], cwd=place, check=True)


def compare(name: str, folder: Path, rounds: int) -> list[Figure]:
    plain = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    told = {
        "GIT_TRACE2_EVENT": f"{folder}/traces/",
        "GIT_TRACE2_EVENT_NESTING": "1",
        "GIT_TRACE2_MAX_FILES": "2000",
        "GIT_TRACE2_PARENT_SID": "yard-1",
    }
    arms = {"plain": plain, "told": plain | told}
    times: dict[str, list[float]] = {arm: [] for arm in arms}
    costs: dict[str, list[float]] = {arm: [] for arm in arms}
    for _round in range(rounds):
        for arm, environment in arms.items():
            began, used = time.perf_counter(), cpu_seconds()
            words = [*GIT, *COMMANDS[name]]
            subprocess.run(words, cwd=folder / "repository", env=environment, check=True, capture_output=True)
            times[arm].append((time.perf_counter() - began) * 1000)
            costs[arm].append((cpu_seconds() - used) * 1000)
        for trace in (folder / "traces").iterdir():
            trace.unlink()
    return [
        Figure(f"git_{name}_ms", median(times["plain"]), "ms", None, "lower"),
        Figure(f"git_{name}_told_ms", median(times["told"]) - median(times["plain"]), "ms", 1.0, "lower"),
        Figure(
            f"git_{name}_told_cpu_ms", median(costs["told"]) - median(costs["plain"]), "ms", None, "lower"
        ),
    ]


if __name__ == "__main__":
    main()
