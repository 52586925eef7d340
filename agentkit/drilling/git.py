"""git, as a drill uses it: names the files it commits, runs no hook, measures how long it waits for locks."""

from __future__ import annotations

import os
import time

from agentkit.processes import Finished, run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

LOCK_PATIENCE = 30.0  # seconds: a lock that is held longer was left behind, and isn't ours to remove
_TIMEOUT = 120.0
_LONGEST_LISTING = 64 << 20
_LOCK_REFUSALS = (b".lock': File exists", b"unable to lock", b"cannot lock ref")
# Whoever started us may sit in another repository; ours is the current directory's.
_ELSEWHERE = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_PREFIX",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_TRACE2_EVENT",  # a drill reports its waits itself
)
_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "commit.gpgSign=false",
    "gc.auto=0",  # agents that share one object store would all collect it at once
    "maintenance.auto=false",
)


class GitFailed(Exception):
    pass


class Stopped(Exception):
    """The agent was told to stop while git worked or waited."""


class Commit:
    __slots__ = ("is_new", "wait_ms")

    def __init__(self, is_new: bool, wait_ms: float) -> None:
        self.is_new = is_new
        self.wait_ms = wait_ms


class Git:
    def __init__(self, *, agent: str, environment: Mapping[str, str], stopping: Callable[[], bool]) -> None:
        self.wait_ms = 0.0  # for locks, in the commit at hand; a failed one tells it too
        self._agent = agent
        self._stopping = stopping
        self._environment = {key: value for key, value in environment.items() if key not in _ELSEWHERE}
        self._environment |= {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_EDITOR": "true"}
        self._knows_author = False

    def files(self) -> list[str]:
        """Tracked files below the current directory. Raises GitFailed where there is no checkout."""
        done = self._run(["ls-files", "-z"], keep=_LONGEST_LISTING)
        if done.code != 0:
            raise GitFailed(said(done))
        return [os.fsdecode(name) for name in done.output.split(b"\0") if name]

    def commit(self, new: Sequence[str], changed: Sequence[str], message: str) -> Commit:
        """Commit these files alone, whatever else is staged. Raises GitFailed, Stopped, OSError."""
        self.wait_ms = 0.0
        self._settle_author()
        if new:
            self._patiently(["add", "--force", "--", *new])
        done = self._patiently(
            ["commit", "--quiet", "--no-verify", "--only", "-m", message, "--", *new, *changed]
        )
        return Commit(is_new=done.code == 0, wait_ms=self.wait_ms)

    def _patiently(self, arguments: list[str]) -> Finished:
        """Run until no lock is in the way. The wait: from the first start to the one that wasn't refused."""
        refused_at = 0.0
        pause = 0.005
        while True:
            started = time.monotonic()
            done = self._run(arguments)
            if refused_at:
                self.wait_ms += (started - refused_at) * 1000
                refused_at = started
            if done.code == 0 or (done.code == 1 and arguments[0] == "commit" and is_clean(done)):
                return done
            if self._stopping():
                raise Stopped
            if not any(refusal in done.output for refusal in _LOCK_REFUSALS):
                raise GitFailed(said(done))
            if self.wait_ms > LOCK_PATIENCE * 1000:
                raise GitFailed(f"gave up after {LOCK_PATIENCE:g} s: {said(done)}")
            refused_at = refused_at or started
            time.sleep(pause)
            pause = min(pause * 1.5, 0.1)

    def _settle_author(self) -> None:
        """Where nobody told git who commits, the agent does."""
        if self._knows_author:
            return
        done = self._run(["config", "--get-regexp", r"^(user|author|committer)\.(name|email)$"])
        told = {line.split()[0].partition(b".")[2] for line in done.output.splitlines() if line.strip()}
        name = self._agent or "drill"
        # git refuses these in an identity.
        email = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in name)
        for who in ("AUTHOR", "COMMITTER"):
            if b"name" not in told:
                self._environment.setdefault(f"GIT_{who}_NAME", name)
            if b"email" not in told and "EMAIL" not in self._environment:
                self._environment.setdefault(f"GIT_{who}_EMAIL", f"{email}@swarmyard.invalid")
        self._knows_author = True

    def _run(self, arguments: list[str], *, keep: int = 8192) -> Finished:
        settings = [word for setting in _SETTINGS for word in ("-c", setting)]
        argv = ["git", "--literal-pathspecs", *settings, *arguments]
        return run(argv, self._environment, timeout=_TIMEOUT, keep=keep, stopping=self._stopping)


def is_clean(done: Finished) -> bool:
    return any(text in done.output for text in (b"nothing to commit", b"nothing added", b"no changes added"))


def said(done: Finished) -> str:
    """The line in which git says why it failed."""
    lines = done.output.decode(errors="replace").strip().splitlines()
    telling = [line for line in lines if line.startswith(("fatal:", "error:"))]
    return (telling or lines or [f"git ended with {done.code} and said nothing"])[0]
