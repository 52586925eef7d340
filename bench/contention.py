"""Agents that edit and build at once: cold, in one directory that they share, in warm ones of their own, and in these
without build slots. Waits for locks are counted from the kernel's list; beside it stands what the yard's own watch saw.
"""

import itertools
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lock_truth import LockTruth
from report import Figure, median, say
from warm_yard import BuildingAgent, WarmYard

MB = 1_000_000
LOOK_SECONDS = 0.1  # between two readings of memory


@dataclass(frozen=True, slots=True)
class Span:
    """One round of one arm. Waits are added up over agents."""

    seconds: float
    seeded: float  # of these seconds, until the directories were there
    directory_wait: float
    directory_wait_seen: float
    slot_wait: float
    peak_mb: float


def contention(yard: WarmYard, script: str, paths: Sequence[str], rounds: dict[int, int]) -> list[Figure]:
    """`rounds` by the number of agents. Cold ones take part in the largest number alone: they take longest by far."""
    shared = SharedDirectory(yard, script)
    arms: dict[str, Callable[[], BuildingAgent]] = {
        "cold": lambda: yard.agent(warm=False),
        "shared": shared.agent,
        "noslots": lambda: without_slots(yard.agent(warm=True)),
        "ours": lambda: yard.agent(warm=True),
    }
    figures, salts = [], itertools.count(1)
    for count in rounds:
        names = [name for name in arms if name != "cold" or count == max(rounds)]
        spans: dict[str, list[Span]] = {name: [] for name in names}
        for number in range(rounds[count]):
            for name in names if number % 2 == 0 else reversed(names):
                agents = [arms[name]() for _ in range(count)]
                # A text of its own each time: nobody finds it built in the shared directory.
                span = together(agents, script, paths, salt=100 * next(salts))
                spans[name].append(span)
                tell(count, name, span)
        figures += figures_of(count, spans, is_main=count == max(rounds))
    return figures


def tell(count: int, name: str, span: Span) -> None:
    say(
        f"{count} agents, {name}: {span.seconds:.1f} s ({span.seeded:.1f} of it for directories), "
        f"{span.peak_mb:.0f} MB; waits for directories {span.directory_wait:.1f} s "
        f"(seen {span.directory_wait_seen:.1f}), for slots {span.slot_wait:.1f} s"
    )


def figures_of(count: int, spans: dict[str, list[Span]], *, is_main: bool) -> list[Figure]:
    """The largest number of agents gives the figures without a number."""
    end = "" if is_main else f"_{count}"

    def middle(arm: str, name: str) -> float:
        return median([getattr(span, name) for span in spans[arm]])

    def ratio(above: str, below: str, name: str = "seconds") -> float:
        pairs = zip(spans[above], spans[below], strict=True)
        return median([getattr(one, name) / getattr(other, name) for one, other in pairs])

    figures = [
        Figure("lock_wait_shared_s", middle("shared", "directory_wait"), "s", None, "lower"),
        Figure("lock_wait_seen_s", middle("shared", "directory_wait_seen"), "s", None, "higher"),
        Figure("lock_wait_ours_s", middle("ours", "directory_wait"), "s", 0.0, "lower"),
        Figure("slot_wait_ours_s", middle("ours", "slot_wait"), "s", None, "lower"),
        Figure("makespan_shared_s", middle("shared", "seconds"), "s", None, "lower"),
        Figure("makespan_noslots_s", middle("noslots", "seconds"), "s", None, "lower"),
        Figure("makespan_ours_s", middle("ours", "seconds"), "s", None, "lower"),
        Figure("makespan_ratio_shared", ratio("shared", "ours"), "times", 1.0, "higher"),
        Figure("makespan_ratio_noslots", ratio("ours", "noslots"), "times", 1.0, "lower"),
        Figure("peak_rss_ratio_noslots", ratio("ours", "noslots", "peak_mb"), "times", 1.0, "lower"),
    ]
    if "cold" in spans:
        figures += [
            Figure("swarm_agents", count, "agents", None, "higher"),
            Figure("swarm_cold_s", middle("cold", "seconds"), "s", None, "lower"),
            Figure("swarm_ratio", ratio("cold", "ours"), "times", 10.0, "higher"),
        ]
    return [replace(figure, key=figure.key + end) for figure in figures]


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
        # By this name the watcher knows whose wait it is; nothing else looks at it.
        agent.leave_yard({"SWARMYARD_BUILD": f"shared-{self.number}", "CARGO_TARGET_DIR": str(self.place)})
        return agent


def without_slots(agent: BuildingAgent) -> BuildingAgent:
    del agent.environment["SWARMYARD_SLOTS"]
    return agent


def together(agents: Sequence[BuildingAgent], script: str, paths: Sequence[str], *, salt: int) -> Span:
    """All begin at the same moment. That their directories were made one after the other counts in full."""
    seeded = sum(agent.seed_seconds for agent in agents)
    for number, agent in enumerate(agents):
        agent.edit(paths[number], salt + number)
        agent.stand_ready(script)
    slot_waits()  # of what was built before
    os.sync()  # what other arms wrote isn't written at the cost of this one
    with watched([agent.process.pid for agent in agents]) as (truth, watch, memory):
        began = time.monotonic()
        for agent in agents:
            agent.go()
        for agent in agents:
            agent.finish()
        seconds = time.monotonic() - began
        time.sleep(0.1)  # for the last look at locks
    directories = {agent.environment.get("CARGO_TARGET_DIR") or str(agent.built) for agent in agents}
    span = Span(
        seconds + seeded,
        seeded,
        truth.seconds_for(Path(directory) for directory in directories),
        sum(wait.ms for wait in watch.taken() if wait.kind in ("build-directory", "artifact-directory"))
        / 1000,
        slot_waits(),
        memory.peak / MB,
    )
    for agent in agents:
        agent.empty()
    return span


@contextmanager
def watched(roots: Sequence[int]) -> Iterator[tuple[LockTruth, Any, "Memory"]]:
    """`roots`: processes whose memory counts, with that of all below them."""
    from apps.builds.lock_watch import LockWatch, watch

    truth, seen, memory = LockTruth(), LockWatch(), Memory(roots)
    anybody, stop = threading.Event(), threading.Event()
    anybody.set()
    threads = [
        threading.Thread(target=truth.watch, args=(stop,)),
        threading.Thread(target=watch, args=(seen, anybody, stop)),
        threading.Thread(target=memory.watch, args=(stop,)),
    ]
    for thread in threads:
        thread.start()
    try:
        yield truth, seen, memory
    finally:
        stop.set()
        for thread in threads:
            thread.join()


class Memory:
    """The most that the builds' processes had resident at one moment, in bytes."""

    def __init__(self, roots: Sequence[int]) -> None:
        self.roots = roots
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
