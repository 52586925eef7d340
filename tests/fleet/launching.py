"""Real agents for tests of the launcher, the logs and the reaper."""

import os
import time
import uuid
from pathlib import Path

from apps.fleet import reaper
from apps.fleet.launcher import MARKER, MarkerIndex, Order, launch, read_run
from apps.lib import procfs
from apps.lib.process import reap_detached


def eventually(condition, seconds=8.0):
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.005)
    return result


def is_running(pid):
    process = procfs.read_process(pid)
    return process is not None and process.alive


def find_by_marker(marker):
    """An agent's own processes, found without knowing anything of it but its marker."""
    processes = procfs.read_processes()
    return [processes[pid] for pid in MarkerIndex().refresh(processes).get(marker, [])]


class Yard:
    """Starts agents in a directory, and at the end of a test ends all that is left of them."""

    def __init__(self, base: Path):
        self.base = base
        self.launched = {}
        self.index = MarkerIndex()

    def order(self, *argv, name=None, env=None, cwd=None, **options):
        name = name or f"agent-{len(self.launched) + 1}"
        environment = {"PATH": os.environ["PATH"], MARKER: f"{uuid.uuid4().hex}.{name}.1", **(env or {})}
        return Order(self.base / "runs" / name / "1", list(argv), environment, cwd or self.base, **options)

    def start(self, *argv, **options):
        order = self.order(*argv, **options)
        self.launched[order.env[MARKER]] = launch(order)
        return order

    def tree(self, order):
        """The agent's processes, once it has been exec'ed."""
        marker = order.env[MARKER]
        tree = reaper.Tree(marker)
        eventually(lambda: self.observe(tree).members)
        return tree

    def observe(self, tree):
        tree.observe(reaper.survey(self.index))
        return tree

    def reap(self, *trees, seconds=8.0):
        """Until nothing is left of some agents."""
        eventually(lambda: not any(reaper.reap_step(trees, self.index).values()), seconds)

    def close(self):
        trees = [reaper.Tree(marker) for marker in self.launched]
        if trees:
            self.reap(*trees)
        eventually(self.no_launcher_left)
        reap_detached()

    def no_launcher_left(self):
        reap_detached()
        launchers = reaper.survey(self.index).launchers
        return not any(launchers.get(marker) for marker in self.launched)


def started(order):
    return eventually(lambda: (run := read_run(order.run_dir)).pid and run)


def exit_code(order, seconds=8.0):
    eventually(lambda: read_run(order.run_dir).exit_code is not None, seconds)
    return read_run(order.run_dir).exit_code


def kept_output(order):
    segments = sorted(order.run_dir.glob("out.*"), key=lambda path: int(path.suffix[1:]))
    return b"".join(path.read_bytes() for path in segments)


def output(order, needle=b"", seconds=8.0):
    """All that the agent printed, once `needle` is in it."""
    eventually(lambda: needle in kept_output(order), seconds)
    return kept_output(order)
