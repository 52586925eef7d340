"""What every benchmark shares: its options, the machine it ran on, and how its figures are printed."""

import argparse
import json
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """`better`: "lower" or "higher". `goal` None: measured for its own sake."""

    key: str
    value: float
    unit: str
    goal: float | None
    better: str

    @property
    def verdict(self) -> str:
        if self.goal is None:
            return ""
        met = self.value <= self.goal if self.better == "lower" else self.value >= self.goal
        return "met" if met else "missed"


def options(description: str | None, argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a run below 60 s: fewer rounds, smaller sizes")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser.parse_args(argv)


def machine() -> dict[str, object]:
    cpu = next(
        (line.partition(":")[2].strip() for line in lines("/proc/cpuinfo") if line.startswith("model name")),
        "unknown",
    )
    memory = next(
        (int(line.split()[1]) // 1024 for line in lines("/proc/meminfo") if line.startswith("MemTotal")), 0
    )
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": memory,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile, `share` from 0 to 1."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def say(text: str) -> None:
    """Progress, beside the document on stdout."""
    print(text, file=sys.stderr, flush=True)


def show(bench: str, where: dict[str, object], figures: Sequence[Figure], *, as_json: bool) -> None:
    if as_json:
        rows = [asdict(figure) for figure in figures]
        print(json.dumps({"bench": bench, "machine": where, "figures": rows}))
        return
    print(
        f"{bench} on {where['cpu']}, {where['cores']} cores, {where['memory_mb']} MB, load {where['load_before']}"
    )
    for figure in figures:
        goal = "" if figure.goal is None else f"goal {figure.goal:g} {figure.unit}: {figure.verdict}"
        print(f"  {figure.key:28} {figure.value:10.2f} {figure.unit:8} {goal}")
