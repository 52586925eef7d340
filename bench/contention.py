"""Agents that edit and build at once: in one directory that they share, in warm ones of their own, and in these without
build slots. Waits for locks are measured as the host process measures them, whoever waits."""

import json
import os
import shutil
import threading
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from report import Figure, median, say
from warm_yard import BuildingAgent, WarmYard, finish

MB = 1_000_000
LOOK_SECONDS = 0.1  # between two readings of memory
BUILD_DIRECTORY = ("build-directory", "artifact-directory")


@dataclass(frozen=True, slots=True)
class Span:
    """One round of one arm. Waits in seconds, added up over agents, by kind of lock."""

    seconds: float
    waits: dict[str, float]
    peak_mb: float

    @property
    def directory_wait(self) -> float:
        return sum(self.waits.get(kind, 0.0) for kind in BUILD_DIRECTORY)


def contention(
    yard: WarmYard, script: str, paths: Sequence[str], counts: Sequence[int], rounds: int
) -> list[Figure]:
    shared = SharedDirectory(yard, script)
    arms: dict[str, Callable[[], BuildingAgent]] = {
        "shared": shared.agent,
        "noslots": lambda: without_slots(yard.agent(warm=True)),
        "ours": lambda: yard.agent(warm=True),
    }
    figures = []
    for count in counts:
        spans: dict[str, list[Span]] = {name: [] for name in arms}
        for number in range(rounds):
            for name, agent in arms.items():
                span = together([agent() for _ in range(count)], script, paths, salt=f"{count}{number}{name}")
                spans[name].append(span)
                waited = (
                    ", ".join(f"{kind} {seconds:.1f} s" for kind, seconds in span.waits.items()) or "none"
                )
                say(f"{count} agents, {name}: {span.seconds:.1f} s, {span.peak_mb:.0f} MB; waits: {waited}")
        figures += figures_of(count, spans, is_main=count == counts[-1])
    return figures


def figures_of(count: int, spans: dict[str, list[Span]], *, is_main: bool) -> list[Figure]:
    """The largest number of agents gives the figures without a number."""
    end = "" if is_main else f"_{count}"

    def middle(arm: str, value: Callable[[Span], float]) -> float:
        return median([value(span) for span in spans[arm]])

    def ratio(above: str, below: str, value: Callable[[Span], float]) -> float:
        pairs = zip(spans[above], spans[below], strict=True)
        return median([value(one) / value(other) for one, other in pairs])

    def seconds(span: Span) -> float:
        return span.seconds

    def peak(span: Span) -> float:
        return span.peak_mb

    def directory_wait(span: Span) -> float:
        return span.directory_wait

    return [
        Figure(f"lock_wait_shared_s{end}", middle("shared", directory_wait), "s", None, "lower"),
        Figure(f"lock_wait_ours_s{end}", middle("ours", directory_wait), "s", 0.0, "lower"),
        Figure(
            f"slot_wait_ours_s{end}",
            middle("ours", lambda span: span.waits.get("build-slot", 0.0)),
            "s",
            None,
            "lower",
        ),
        Figure(f"makespan_shared_s{end}", middle("shared", seconds), "s", None, "lower"),
        Figure(f"makespan_ours_s{end}", middle("ours", seconds), "s", None, "lower"),
        Figure(f"makespan_ratio_shared{end}", ratio("shared", "ours", seconds), "times", 1.0, "higher"),
        Figure(f"makespan_ratio_noslots{end}", ratio("ours", "noslots", seconds), "times", 1.0, "lower"),
        Figure(f"peak_rss_ratio_noslots{end}", ratio("ours", "noslots", peak), "times", 1.0, "lower"),
    ]


class SharedDirectory:
    """As it is without Swarmyard: checkouts of their own, one CARGO_TARGET_DIR, which somebody built before."""

    def __init__(self, yard: WarmYard, script: str) -> None:
        self.yard = yard
        self.place = yard.source.parent / "shared"
        self.number = 0
        self.agent().build(script)

    def agent(self) -> BuildingAgent:
        self.number += 1
        agent = self.yard.agent(warm=False)
        kept = {name: value for name, value in agent.environment.items() if not name.startswith("SWARMYARD_")}
        path = kept["PATH"].partition(os.pathsep)[2]  # behind our shims
        # By this name the watcher knows whose wait it is; nothing else looks at it.
        named = {
            "SWARMYARD_BUILD": f"shared-{self.number}",
            "CARGO_TARGET_DIR": str(self.place),
            "PATH": path,
        }
        agent.environment = {**kept, **named}
        return agent


def without_slots(agent: BuildingAgent) -> BuildingAgent:
    del agent.environment["SWARMYARD_BUILD_SLOTS"]
    return agent


def together(agents: Sequence[BuildingAgent], script: str, paths: Sequence[str], *, salt: str) -> Span:
    for number, agent in enumerate(agents):
        agent.edit(paths[number], zlib.crc32(salt.encode()) + number)
    slot_waits()  # of what was built before
    with watched() as (locks, memory):
        began = time.monotonic()
        running = [agent.start(script) for agent in agents]
        memory.roots = [process.pid for process in running]
        for process in running:
            finish(process)
        seconds = time.monotonic() - began + sum(agent.seed_seconds for agent in agents)
        time.sleep(0.1)  # for the last look at locks
    waits: dict[str, float] = defaultdict(float)
    for wait in locks.taken():
        waits[str(wait.kind)] += wait.ms / 1000
    if slots := slot_waits():
        waits["build-slot"] = slots
    for agent in agents:
        shutil.rmtree(agent.built, ignore_errors=True)
    return Span(seconds, dict(waits), memory.peak / MB)


@contextmanager
def watched() -> Iterator[tuple[Any, "Memory"]]:
    from apps.builds.lock_watch import LockWatch, watch

    locks, memory = LockWatch(), Memory()
    anybody, stop = threading.Event(), threading.Event()
    anybody.set()
    threads = [
        threading.Thread(target=watch, args=(locks, anybody, stop)),
        threading.Thread(target=memory.watch, args=(stop,)),
    ]
    for thread in threads:
        thread.start()
    try:
        yield locks, memory
    finally:
        stop.set()
        for thread in threads:
            thread.join()


class Memory:
    """The most that the builds' processes had resident at one moment, in bytes."""

    def __init__(self) -> None:
        self.roots: list[int] = []
        self.peak = 0

    def watch(self, stop: threading.Event) -> None:
        from apps.lib import procfs

        while not stop.wait(LOOK_SECONDS):
            processes = procfs.read_processes()
            ours = set(self.roots)
            for process in sorted(processes.values(), key=lambda process: process.start_ticks):
                if process.ppid in ours:
                    ours.add(process.pid)
            self.peak = max(self.peak, sum(processes[pid].rss for pid in ours if pid in processes))


def slot_waits() -> float:
    """Seconds, of the reports that shims left since the last time."""
    reports = Path(os.environ["SWARMYARD_HOME"]) / "builds" / "reports"
    total = 0.0
    for path in reports.iterdir():
        total += json.loads(path.read_text()).get("slot_wait_ms", 0.0) / 1000
        path.unlink()
    return total
