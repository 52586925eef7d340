"""How far the measured length of a lock wait is from the truth: waits for file locks as the host process sees them, and
for build slots as shims report them; on a machine that is idle otherwise, and while all of its cores are busy.

A lock is held for a known time. Who waits for it takes it as cargo does, by flock, and tells itself how long that took;
a wait for a slot is as long as from the shim's start to the moment at which the slot was given back.
"""

import fcntl
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from contention import watched
from report import Figure, machine, median, options, say, show
from shim import ROOT, prepare

sys.path.insert(0, str(ROOT))

GOAL_MS = 50.0
LOCKS = (".cargo-lock", ".package-cache")
PATIENCE = 20.0
WAITER = """
import fcntl, sys, time
file = open(sys.argv[1])
asked = time.monotonic()
fcntl.flock(file, fcntl.LOCK_EX)
print((time.monotonic() - asked) * 1000)
"""


def main() -> None:
    chosen = options(__doc__)
    where = machine()
    times, rounds = ((0.2, 1.0), 5) if chosen.quick else ((0.2, 1.0, 5.0), 10)
    figures = []
    with tempfile.TemporaryDirectory(prefix="yard-lock-wait-") as folder:
        environment = prepare(Path(folder))
        for name, busy in (("", 0), ("_busy", len(os.sched_getaffinity(0)))):
            locks: list[float] = []
            slots: list[float] = []
            with burning(busy):
                for held in [seconds for seconds in times for _ in range(rounds)]:
                    locks += [error_of_lock(Path(folder) / lock, held) for lock in LOCKS]
                    slots.append(error_of_slot(Path(folder), environment, held))
            say(
                f"{busy} busy processes: {sorted(round(error) for error in locks)}, {sorted(round(e) for e in slots)}"
            )
            figures += figures_of(f"lockwait_error{name}", locks) + figures_of(f"slotwait_error{name}", slots)
    show("lock_wait", where, figures, as_json=chosen.json)


def figures_of(name: str, errors: Sequence[float]) -> list[Figure]:
    return [
        Figure(f"{name}_ms", median(errors), "ms", GOAL_MS, "lower"),
        Figure(f"{name}_max_ms", max(errors), "ms", None, "lower"),
    ]


@contextmanager
def burning(count: int) -> Iterator[None]:
    with ExitStack() as ending:
        for _ in range(count):
            burner = subprocess.Popen([sys.executable, "-IS", "-c", "while True: pass"])
            ending.callback(burner.wait)
            ending.callback(burner.kill)
        yield


def error_of_lock(lock: Path, seconds: float) -> float:
    """Milliseconds."""
    lock.touch()
    with watched() as (locks, _memory):
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            waiter = subprocess.Popen(
                [sys.executable, "-IS", "-c", WAITER, str(lock)],
                env=os.environ | {"SWARMYARD_BUILD": "bench"},
                stdout=subprocess.PIPE,
            )
            time.sleep(seconds)
        truth = float(waiter.communicate()[0])
        deadline = time.monotonic() + PATIENCE
        while not (found := locks.taken()) and time.monotonic() < deadline:
            time.sleep(0.01)
    return abs(sum(wait.ms for wait in found) - truth)


def error_of_slot(folder: Path, environment: dict[str, str], seconds: float) -> float:
    """Milliseconds."""
    from agentkit.building.slots import Ticket

    (folder / "slots" / "limit").write_text("1")
    ticket = Ticket(str(folder / "slots"), short=False)
    ticket.wait()
    waiter = subprocess.Popen([f"{folder}/shims/cargo", "build"], env=environment, cwd="/")
    time.sleep(seconds)
    ticket.close()
    ended = time.time()
    waiter.wait()
    (path,) = (folder / "reports").iterdir()
    report = json.loads(path.read_text())
    path.unlink()
    return abs(report["slot_wait_ms"] - max(0.0, ended - report["asked_at"]) * 1000)


if __name__ == "__main__":
    main()
