"""Starts agents that need nobody: each under a small shell script that keeps its output and its exit status.

A run directory holds `pid`, `exit`, `segment` and the output, `out.1`, `out.2`, … (launcher.sh, logs.py).
"""

import functools
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from apps.lib import procfs
from apps.lib.process import ProgramMissing, spawn_detached
from apps.lib.regular import opened_regular

MARKER = "SWARMYARD_RUN"  # in the environment of an agent and of all that it starts
LAUNCH_MARKER = "SWARMYARD_LAUNCH"  # the same value, in the environment of its launcher and logger
SCRIPT = Path(__file__).with_name("launcher.sh")
TOOLS = ("stdbuf", "head", "timeout", "cat", "rm", "wc", "sleep")
SEGMENT_BYTES = 10_000_000  # two of them are kept
MOST_PID = 2**22  # the kernel's own limit
SHELL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class AlreadyLaunched(Exception):
    """This run directory was used before. An agent that starts again gets a new epoch, so a new directory."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to start. `env` is the agent's whole environment and holds its marker.

    Only names that a shell can carry (letters, digits and underscores, no digit first) reach the agent.
    """

    run_dir: Path
    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    stdin_path: Path | None = None  # /dev/null
    segment_bytes: int = SEGMENT_BYTES
    cgroup_procs: Path | None = None  # a cgroup.procs file that the agent writes itself into before it starts


@dataclass(frozen=True, slots=True)
class Launched:
    launcher_pid: int
    start_ticks: int  # 0 when it has ended already


@dataclass(frozen=True, slots=True)
class Run:
    """`exit_code` is a shell's: 128 + N after signal N, 127 for no such program, 126 when it can't be run."""

    pid: int | None  # of the agent; also its process group and session
    start_ticks: int | None
    exit_code: int | None  # None while it runs, and for ever when its launcher was killed
    started_at: float | None = None  # unix seconds
    ended_at: float | None = None


def launch(order: Order) -> Launched:
    """Start an agent. Returns once the launcher runs; `read_run` has the agent's pid some milliseconds later.

    Raises AlreadyLaunched, OSError, and ProgramMissing for a tool of the launcher (for the agent: exit 127).
    """
    if not order.argv or not order.env.get(MARKER):
        raise ValueError(f"an order needs a program and {MARKER} in its environment")
    argv = [
        *(_shell(), str(SCRIPT), str(order.run_dir.absolute()), str(order.segment_bytes)),
        *(_tools(), _tool("setsid")),
        *(str(order.cgroup_procs or ""), "--", *order.argv),
    ]
    with ExitStack() as closing:
        stdin = os.open(order.stdin_path or os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        closing.callback(os.close, stdin)
        prepare(order.run_dir, order.segment_bytes)
        reader, writer = os.pipe2(os.O_CLOEXEC)
        closing.callback(os.close, reader)
        closing.callback(os.close, writer)
        environment = _launcher_environment(order.env)
        pid = spawn_detached(
            argv, cwd=order.cwd, env=environment, stdin_fd=stdin, stdout_fd=writer, stderr_fd=reader
        )
    process = procfs.read_process(pid)
    return Launched(pid, process.start_ticks if process else 0)


def prepare(run_dir: Path, segment_bytes: int) -> None:
    run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        _create(run_dir / "exit", f"{'running':<16}\n")
    except FileExistsError as error:
        raise AlreadyLaunched(f"{run_dir} was used before") from error
    _create(run_dir / "pid", f"{'':<40}\n")
    _create(run_dir / "segment", f"{segment_bytes}\n")


def _create(path: Path, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, text.encode("ascii"))
    finally:
        os.close(fd)


def read_run(run_dir: Path) -> Run:
    """What the launcher has written so far; of a directory that isn't there, nothing."""
    (started, started_at), (ended, ended_at) = _numbers(run_dir / "pid"), _numbers(run_dir / "exit")
    run = Run(None, None, None)
    if len(started) == 2 and started[0] <= MOST_PID:
        run = replace(run, pid=started[0], start_ticks=started[1], started_at=started_at)
    if len(ended) == 1 and ended[0] <= 255:
        run = replace(run, exit_code=ended[0], ended_at=ended_at)
    return run


def _numbers(path: Path) -> tuple[list[int], float | None]:
    """The numbers in a file, and when it was written. None of what isn't one: an agent could write here, and
    must not be able to end or hold up the loop that reads it."""
    try:
        with opened_regular(path) as fd:
            words, at = os.read(fd, 100).split(), os.fstat(fd).st_mtime
    except OSError:
        return [], None
    return [int(word) for word in words if word.isdigit() and len(word) <= 18], at


def _launcher_environment(env: Mapping[str, str]) -> dict[str, str]:
    passed = {name: value for name, value in env.items() if SHELL_NAME.match(name)}
    passed[LAUNCH_MARKER] = passed.pop(MARKER)
    return passed


@functools.cache
def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise ProgramMissing(name, "not found, and no agent can be started without it")
    return os.path.abspath(found)  # noqa: PTH100 - a link stays a link: busybox goes by its name


@functools.cache
def _shell() -> str:
    return shutil.which("dash") or _tool("sh")  # a third of bash's memory, for each agent


@functools.cache
def _tools() -> str:
    """Where the logger finds its tools: the agent's own PATH may lack them."""
    return os.pathsep.join(dict.fromkeys(str(Path(_tool(name)).parent) for name in TOOLS))


@dataclass(slots=True)
class MarkerIndex:
    """Who carries which marker, from /proc/PID/environ, read once for each process and image.

    Finds what an agent started, however far it moved away from it, unless it threw away its environment.
    """

    agents: dict[str, list[int]] = field(default_factory=dict)  # marker to pids of the agent's own processes
    launchers: dict[str, list[int]] = field(
        default_factory=dict
    )  # marker to its launcher's and logger's pids
    _known: dict[tuple[int, int, int], tuple[str | None, str | None]] = field(default_factory=dict)

    def refresh(self, processes: Mapping[int, procfs.Process]) -> dict[str, list[int]]:
        """Look at a pass over all processes; returns `agents`. Zombies are left out."""
        known, self.agents, self.launchers = self._known, {}, {}
        self._known = {}
        for process in processes.values():
            if not process.alive or process.rss == 0:  # a kernel thread has no memory of its own
                continue
            key = (process.pid, process.start_ticks, process.image)
            run, launcher = self._known[key] = known.get(key) or _markers(process.pid)
            if run:
                self.agents.setdefault(run, []).append(process.pid)
            elif launcher:
                self.launchers.setdefault(launcher, []).append(process.pid)
        return self.agents


def _markers(pid: int) -> tuple[str | None, str | None]:
    environment = procfs.environment(pid)
    return environment.get(MARKER), environment.get(LAUNCH_MARKER)
