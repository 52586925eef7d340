"""The drill at work: rounds of edit, build, commit and read, each operation timed, told and reported."""

from __future__ import annotations

import os
import time

from agentkit.drilling.checkout import Checkout
from agentkit.drilling.choices import Draw, pools
from agentkit.drilling.edits import SLOTS, NotEditable, edit, language_of, slug_of
from agentkit.drilling.git import Git, GitFailed, Stopped
from agentkit.drilling.waits import LockWatch
from agentkit.processes import run
from agentkit.samples import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agentkit.client import Client
    from agentkit.drilling.options import Options
    from agentkit.drilling.stop import Stop

TRIES = 8  # files looked at before the agent falls back on its own notes
FILES_READ = 3
TEST_TOOLS = frozenset(("pytest", "unittest", "nextest", "tox", "nox", "vitest", "jest", "ctest"))
LINES_TOLD = 5  # of the output of a build that failed


class Failed(Exception):
    pass


class Operation:
    __slots__ = ("kind", "memory", "ms", "note", "outcome", "wait_kind", "wait_ms")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.outcome = "ok"
        self.ms = 0.0
        self.wait_ms = 0.0
        self.wait_kind = ""
        self.memory = 0
        self.note = ""


class Drill:
    def __init__(
        self,
        options: Options,
        *,
        agent: str,
        environment: Mapping[str, str],
        say: Callable[[str], None],
        stop: Stop,
    ) -> None:
        self.counts = {"operations": 0, "ok": 0, "error": 0, "induced": 0, "commits": 0}
        self.wait_ms = 0.0
        self.client: Client | None = None
        self._options = options
        self._agent = agent or "solo"
        self._environment = environment
        self._say = say
        self._stop = stop
        self._checkout = Checkout(".")
        self._git = Git(agent=agent, environment=environment, stopping=stop)
        files = self._git.files()
        self._tracked = set(files)
        self._shared, self._own = pools(files, seed=options.seed, agent=agent)
        self._edited: list[str] = []
        self._errors_in_a_row = 0
        self._steps = {
            "edit": self._edit,
            "check": self._check,
            "build": self._build,
            "commit": self._commit,
            "read": self._read,
        }
        self._commands = {"check": options.check, "build": options.command}
        self._round = [step for step in self._steps if self._commands.get(step, True)]

    def work(self) -> None:
        """Until the operations asked for are done or the wish to stop comes."""
        number = 0
        while not self._stop() and (not self._options.operations or number < self._options.operations):
            number += 1
            draw = Draw(self._options.seed, self._agent, number)
            try:
                operation = self._operate(number, draw)
            except Stopped:
                return  # neither done nor failed: it isn't counted
            self._account(number, operation)
            self._pause(operation, draw)

    def _operate(self, number: int, draw: Draw) -> Operation:
        step = self._round[(number - 1) % len(self._round)]
        if step == "commit" and not self._edited:
            step = "read"
        operation = Operation(kind_of_command(self._options.command) if step == "build" else step)
        failing = draw.share() < self._options.fail_rate
        if self.client is not None:
            command = one_line(" ".join(self._commands.get(step, ())))
            self.client.tell(now=f"{operation.kind} {command}".rstrip(), state="busy")
        began = time.monotonic()
        try:
            self._steps[step](operation, number, draw, failing)
        except (Failed, GitFailed, OSError) as problem:
            operation.outcome = "error"
            operation.note = one_line(str(problem))
        if failing:
            operation.outcome = "induced"
        operation.ms = (time.monotonic() - began) * 1000
        return operation

    def _account(self, number: int, operation: Operation) -> None:
        self.counts["operations"] += 1
        self.counts[operation.outcome] += 1
        self.wait_ms += operation.wait_ms
        waited = f" (waited {operation.wait_ms:.0f} ms for a lock)" if operation.wait_ms else ""
        what = f"{number:5d} {operation.kind:<7}{operation.outcome:<8}{operation.ms:8.1f} ms"
        self._say(f"{what}  {operation.note}{waited}")
        self._report(operation)

    def _report(self, operation: Operation) -> None:
        if self.client is None:
            if not self._environment.get("SWARMYARD_GATEWAY"):
                return
            from agentkit.client import Client  # after the first operation: it isn't needed to come to life

            # Drills are started by the hundred: their connections, 70 ms of a core each, come spread over some seconds.
            hold = 1.0 + 3.0 * os.urandom(1)[0] / 255
            self.client = Client.from_environment(self._environment, hold=hold)
            if self.client is None:
                return
        self.client.report(
            operation.kind,
            ms=operation.ms,
            wait_ms=operation.wait_ms,
            outcome=operation.outcome,
            wait_kind=operation.wait_kind,
            memory=operation.memory,
            note=operation.note,
        )

    def _pause(self, operation: Operation, draw: Draw) -> None:
        seconds = self._options.think_ms / 1000 * (0.5 + draw.share())
        self._errors_in_a_row = self._errors_in_a_row + 1 if operation.outcome == "error" else 0
        if self._errors_in_a_row > 1:  # a full disk is no reason to spin
            seconds = max(seconds, min(1.0, 0.05 * 2 ** min(self._errors_in_a_row, 10)))
        if self.client is not None and seconds:
            # Busy all the same: a model that thinks is at work.
            self.client.tell(now=f"{operation.kind} {operation.note}".rstrip(), state="busy")
        self._stop.sleep(seconds)

    def _edit(self, operation: Operation, number: int, draw: Draw, failing: bool) -> None:
        pool = self._shared if draw.share() < self._options.overlap else self._own
        first, slot, factor = draw.number(1 << 30), draw.number(SLOTS), 2 + draw.number(97)
        candidates = [pool[(first + step) % len(pool)] for step in range(min(TRIES, len(pool)))]
        for path in candidates + self._notes():
            try:
                content = (
                    self._checkout.read(path) if path in self._tracked or self._checkout.exists(path) else b""
                )
                edited = edit(
                    content, language_of(path), agent=self._agent, slot=slot, factor=factor, number=number
                )
                if not failing:
                    self._checkout.write(path, edited)
            except NotEditable:
                continue
            if not failing and path not in self._edited:
                self._edited.append(path)
            operation.note = one_line(path)
            return
        raise Failed("no file here can be edited")

    def _notes(self) -> list[str]:
        """Files of this agent's own making, for where the repository has nothing that it may edit."""
        stem = "drill-" + slug_of(self._agent).replace("_", "-")
        return [f"{stem}.md", *(f"{stem}-{n}.md" for n in range(2, 10))]

    def _check(self, operation: Operation, number: int, draw: Draw, failing: bool) -> None:
        self._run(self._options.check, operation, failing)

    def _build(self, operation: Operation, number: int, draw: Draw, failing: bool) -> None:
        self._run(self._options.command, operation, failing)

    def _run(self, command: list[str], operation: Operation, failing: bool) -> None:
        watch = LockWatch()
        operation.note = one_line(" ".join(command))
        try:
            done = run(
                command,
                self._environment,
                timeout=self._options.timeout,
                watch=watch.feed,
                stopping=self._stop,
            )
        except (FileNotFoundError, PermissionError) as error:
            raise Failed(f"{command[0]} can't be run: {error.strerror}") from error
        watch.finish(time.monotonic())
        operation.memory = done.memory
        if "SWARMYARD_SHIMS" not in self._environment:  # else the host measures it, and it would count twice
            operation.wait_ms, operation.wait_kind = watch.wait_ms, watch.kind
        if done.code != 0 and self._stop():
            raise Stopped
        if done.code != 0 and not failing:
            for line in done.output.decode(errors="replace").splitlines()[-LINES_TOLD:]:
                self._say(f"      | {one_line(line)}")
            raise Failed(f"{one_line(' '.join(command), 120)}: {ending(done.code, done.why)}")

    def _commit(self, operation: Operation, number: int, draw: Draw, failing: bool) -> None:
        if failing:
            return
        new = [path for path in self._edited if path not in self._tracked]
        changed = [path for path in self._edited if path in self._tracked]
        told = ", ".join(one_line(path, 60) for path in self._edited[:3])
        try:
            commit = self._git.commit(new, changed, f"drill {self._agent}: edit {told}")
        except GitFailed:
            self._edited = [path for path in self._edited if self._checkout.exists(path)]
            self._tracked.difference_update(self._edited)  # so that the next try adds them
            raise
        finally:
            operation.wait_ms = self._git.wait_ms
            operation.wait_kind = "vcs" if operation.wait_ms else ""
        self.counts["commits"] += commit.is_new
        self._tracked.update(new)
        self._edited = []
        operation.note = told

    def _read(self, operation: Operation, number: int, draw: Draw, failing: bool) -> None:
        pool = self._shared + self._own
        lines = 0
        for step in range(min(FILES_READ, len(pool))):
            try:
                lines += self._checkout.read(pool[(number + step) % len(pool)]).count(b"\n")
            except NotEditable:
                continue
        operation.note = f"{lines} lines"


def kind_of_command(command: list[str]) -> str:
    """`cargo test`, `python -m pytest`, `make test-all` are tests; what isn't plainly one is a build."""
    names = [word.rpartition("/")[2] for word in command[:4]]
    return "test" if any(name.startswith("test") or name in TEST_TOOLS for name in names) else "build"


def ending(code: int, why: str) -> str:
    if why == "timeout":
        return "ended, it took too long"
    return f"ended by signal {-code}" if code < 0 else f"exit code {code}"
