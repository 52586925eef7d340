"""Locks of git that agents were refused, from what git writes of each of its commands into a directory of the host.

A file for each command, which is taken away when the command has ended. git writes it like any other file: it waits for
nobody, and where the directory is gone it stays silent. A socket would hold agents' git up while nobody reads it.
"""

import functools
import os
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from apps.builds import places
from apps.builds.domain.git_traces import AGENT, GitCommand, command_in, pid_in
from apps.lib import procfs
from apps.lib.regular import read_regular
from apps.workspaces import git
from apps.workspaces.exceptions import GitFailed

TARGET = "GIT_TRACE2_EVENT"
MOST_FILES = 2_000  # then git writes no more of them until they were taken away
AT_ONCE = 500
LARGEST = 256 * 1024
END = 4096  # bytes at the begin and the end of a trace
KEPT_SECONDS = 10.0  # that commands which have ended are remembered, as holders
ERROR = b'"event":"error"'
ENDED = (b'"event":"atexit"', b'"event":"signal"')


@dataclass(frozen=True, slots=True)
class Refused:
    """A command that was refused a lock, and those that ran with it or shortly before."""

    command: GitCommand
    others: list[GitCommand]


def environment_of(agent: int | None) -> dict[str, str]:
    """By which an agent's git tells what it does; empty where it is switched off, or the user has it told elsewhere."""
    if agent is None or not settings.GIT_LOCKS or own_target():
        return {}
    return {
        TARGET: f"{places.git_traces()}/",  # with the slash git writes nothing where it is no directory
        f"{TARGET}_NESTING": "1",
        "GIT_TRACE2_MAX_FILES": str(MOST_FILES),
        "GIT_TRACE2_PARENT_SID": f"{AGENT}{agent}",
    }


@functools.cache
def own_target() -> bool:
    """Whether the user has set a target himself, which git's own commands look for there alone."""
    if os.environ.get(TARGET):
        return True
    try:
        scopes = [
            git.git(None, "config", scope, "--get", "trace2.eventTarget")
            for scope in ("--system", "--global")
        ]
    except GitFailed:
        return False
    return any(done.code == 0 and done.stdout.strip() for done in scopes)


class GitTraces:
    """The directory. `news` is to be called by one thread."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._changed_at = -1
        self._ended: deque[tuple[float, bytes]] = deque(
            maxlen=AT_ONCE
        )  # when they were seen, and what they wrote
        self._running: dict[str, bytes] = {}

    def news(self) -> list[Refused]:
        """Refusals of commands that have ended since the last call. One system call where nobody calls git."""
        changed_at = self.directory.stat().st_mtime_ns
        if changed_at == self._changed_at and not self._running:
            return []
        names = os.listdir(self.directory)  # noqa: PTH208
        if not names:
            self._changed_at = changed_at
        self._forget()
        self._running = {}
        ended = [trace for name in sorted(names)[:AT_ONCE] if (trace := self._take(name)) is not None]
        self._ended += [(time.monotonic(), ends_of(trace)) for trace in ended]
        refused = [
            command for trace in ended if ERROR in trace and (command := parsed(trace)) and command.refusal
        ]
        if not refused:
            return []
        around = [command for trace in self._around() if (command := parsed(trace)) is not None]
        return [Refused(command, around) for command in refused]

    def _take(self, name: str) -> bytes | None:
        """What a command wrote that has ended; its file is removed. None for one that runs."""
        path = self.directory / name
        try:
            trace = read_regular(path, LARGEST)
        except FileNotFoundError:
            return None
        except OSError:
            trace = b""
        if not has_ended(name, trace):
            self._running[name] = trace
            return None
        path.unlink(missing_ok=True)
        return trace

    def _around(self) -> list[bytes]:
        return [*(trace for _, trace in self._ended), *self._running.values()]

    def _forget(self) -> None:
        while self._ended and time.monotonic() - self._ended[0][0] > KEPT_SECONDS:
            self._ended.popleft()


def has_ended(name: str, trace: bytes) -> bool:
    """One that was killed wrote no end. What has no pid in its name is git's own mark that there are too many files."""
    pid = pid_in(name)
    return any(word in trace[-END:] for word in ENDED) or not pid or procfs.read_process(pid) is None


def ends_of(trace: bytes) -> bytes:
    """Whose it was and when it ran, without what lies between."""
    return trace if len(trace) <= 2 * END else trace[:END] + b"\n" + trace[-END:]


def parsed(trace: bytes) -> GitCommand | None:
    return command_in(trace.decode("utf-8", "replace"))
