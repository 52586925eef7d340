"""Finds and ends all that an agent started, wherever it went: new sessions, new parents, double forks.

An agent's processes are known by descent, by its marker in their environment, by the sessions that they
opened, and, when all of these fail, by holding the pipe of its output. Never by a name. Each is remembered
with its start time, so a pid that was given to somebody else is never signalled.
"""

import os
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from apps.lib.procfs import Process, read_processes, signal_process

from .launcher import MarkerIndex

Processes = Mapping[int, Process]
ROUNDS = 8  # looks at /proc within one step, while processes keep appearing


@dataclass(frozen=True, slots=True)
class Survey:
    """One pass over /proc, arranged for all agents at once."""

    processes: Processes
    agents: Mapping[str, list[int]]  # marker to the agent's own processes
    launchers: Mapping[str, list[int]]  # marker to its launcher and logger
    children: Mapping[int, list[int]]
    sessions: Mapping[int, list[int]]
    untouchable: frozenset[int]


def survey(index: MarkerIndex, processes: Processes | None = None) -> Survey:
    if processes is None:
        processes = read_processes()
    index.refresh(processes)
    sessions: dict[int, list[int]] = {}
    for process in processes.values():
        sessions.setdefault(process.session, []).append(process.pid)
    return Survey(
        processes=processes,
        agents=index.agents,
        launchers=index.launchers,
        children=children_by_parent(processes),
        sessions=sessions,
        # Launchers end by themselves, after they wrote down how their agent ended; and we are nobody's agent.
        untouchable=frozenset({1, os.getpid()}.union(*index.launchers.values())),
    )


def children_by_parent(processes: Processes) -> dict[int, list[int]]:
    children: dict[int, list[int]] = {}
    for process in processes.values():
        children.setdefault(process.ppid, []).append(process.pid)
    return children


def descendants(processes: Processes, roots: Iterable[int]) -> set[int]:
    """The roots that exist and all below them."""
    return _below(children_by_parent(processes), (pid for pid in roots if pid in processes))


def _below(children: Mapping[int, list[int]], roots: Iterable[int]) -> set[int]:
    found: set[int] = set()
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting.extend(children.get(pid, ()))
    return found


@dataclass(slots=True)
class Tree:
    """One agent's processes. Show it every survey: a process may hide its origin between two of them."""

    marker: str
    members: dict[int, int] = field(default_factory=dict)  # pid to start ticks; zombies are not members
    sessions: set[int] = field(default_factory=set)  # opened by members, and still in use by one

    def add(self, pid: int, start_ticks: int) -> None:
        """The agent itself, once it is known from its run directory."""
        self.members[pid] = start_ticks

    def observe(self, seen: Survey) -> set[int]:
        """Bring the members up to date; returns the pids that are new."""
        processes = seen.processes
        known = {pid for pid, ticks in self.members.items() if _same(processes.get(pid), ticks)}
        found = known.union(seen.agents.get(self.marker, ()))
        # A session's number isn't given to another while somebody is in it.
        used = {processes[pid].session for pid in found}
        self.sessions = (self.sessions & used) | (found & used)
        found.update(*(seen.sessions[session] for session in self.sessions))
        found = _below(seen.children, found) - seen.untouchable
        self.members = {pid: processes[pid].start_ticks for pid in found if processes[pid].alive}
        return self.members.keys() - known


def kill_launcher_side(marker: str, seen: Survey) -> int:
    """Launcher and logger of an agent, which otherwise end by themselves: only for those that never will."""
    pids = seen.launchers.get(marker, ())
    return sum(signal_process(pid, seen.processes[pid].start_ticks, signal.SIGKILL) for pid in pids)


def _same(process: Process | None, start_ticks: int) -> bool:
    return process is not None and process.start_ticks == start_ticks


def signal_all(tree: Tree, sig: int) -> int:
    """Signal every member; returns how many there still were."""
    return sum(signal_process(pid, ticks, sig) for pid, ticks in tree.members.items())


def pause(tree: Tree) -> int:
    """Again after each survey while it is to be paused: a member may have forked just before it stopped."""
    return signal_all(tree, signal.SIGSTOP)


def resume(tree: Tree) -> int:
    return signal_all(tree, signal.SIGCONT)


def ask_to_stop(tree: Tree) -> int:
    """SIGTERM; and SIGCONT, because one that is paused would never hear of it."""
    asked = signal_all(tree, signal.SIGTERM)
    signal_all(tree, signal.SIGCONT)
    return asked


def reap_step(
    trees: Sequence[Tree],
    index: MarkerIndex,
    *,
    look: Callable[[MarkerIndex], Survey] = survey,
    rounds: int = ROUNDS,
) -> dict[str, int]:
    """Kill what there is of some agents. Returns how many processes each had: call it until that is 0.

    Launcher and logger count too, though they are left to end by themselves: while there is one, an agent
    may be about to start, or something that no look has caught holds its output.

    Never waits. Everything is stopped first, and looked for again until nothing new appears: a stopped
    process can't start another in the place of one that is killed.
    """
    for number in range(rounds):
        seen = look(index)
        new = [pid for tree in trees for pid in _stop_members(tree, seen)]
        if number and not new:
            break
    return {
        tree.marker: signal_all(tree, signal.SIGKILL) + len(seen.launchers.get(tree.marker, ()))
        for tree in trees
    }


def _stop_members(tree: Tree, seen: Survey) -> set[int]:
    new = tree.observe(seen)
    if not tree.members:
        for pid in output_holders(tree.marker, seen):
            tree.add(pid, seen.processes[pid].start_ticks)
            new.add(pid)
    for pid, ticks in tree.members.items():
        if seen.processes[pid].state not in "Tt":
            signal_process(pid, ticks, signal.SIGSTOP)
    return new


def output_holders(marker: str, seen: Survey) -> set[int]:
    """Who else has the pipe of an agent's output open while its logger waits for the end of it.

    After the agent that is whatever, between two surveys, threw away its environment and left its session and
    its parent, but kept the output. Looks at each descriptor of each process: for the few that need it.
    """
    pipes = {_link(pid, "0") for pid in seen.launchers.get(marker, ())}
    pipes = {link for link in pipes if link and link.startswith("pipe:")}
    if not pipes:
        return set()
    candidates = [pid for pid in seen.processes if pid not in seen.untouchable]
    return {pid for pid in candidates if any(_link(pid, fd) in pipes for fd in _descriptors(pid))}


def _link(pid: int, fd: str) -> str | None:
    with suppress(OSError):
        return os.readlink(f"/proc/{pid}/fd/{fd}")  # noqa: PTH115 - "pipe:[123]" is no path
    return None


def _descriptors(pid: int) -> list[str]:
    with suppress(OSError):
        return os.listdir(f"/proc/{pid}/fd")  # noqa: PTH208 - many of them, and as strings
    return []
