"""The one way to run a process: an argument list, a time limit, a session of its own, bounded output."""

import os
import selectors
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeAlias

PathLike: TypeAlias = str | os.PathLike[str]

TERM_GRACE = 2.0  # seconds between the polite and the hard end of a process that ran out of time
POLL = 0.1  # longest wait for output before the process itself is looked at again
BLOCK = 65536


class ProgramMissing(Exception):
    """The executable isn't there, or is not executable."""

    def __init__(self, program: str, reason: str = "not found") -> None:
        super().__init__(f"{program}: {reason}")
        self.program = program


@dataclass(frozen=True, slots=True)
class Completed:
    argv: tuple[str, ...]
    code: int  # as the kernel says: -N when signal N ended it
    stdout: bytes  # the first `max_output` bytes
    stderr: bytes  # the last `max_output` bytes
    seconds: float
    timed_out: bool = False
    truncated: bool = False  # stdout was longer than `max_output`

    @property
    def ok(self) -> bool:
        return self.code == 0 and not self.timed_out

    def text(self) -> str:
        return self.stdout.decode("utf-8", "replace")


class ProcessFailed(Exception):
    """A process ended with another code than 0, ran out of time, or printed more than the caller can use."""

    def __init__(self, completed: Completed) -> None:
        super().__init__(describe_failure(completed))
        self.completed = completed


def describe_failure(completed: Completed) -> str:
    """One line: which command, how it ended, and the end of what it said about that."""
    command = shlex.join(completed.argv)
    if len(command) > 120:
        command = command[:117] + "..."
    said = " ".join(completed.stderr[-2000:].decode("utf-8", "replace").split())[-300:]
    return f"{command} {_ending(completed)}" + (f": {said}" if said else "")


def _ending(completed: Completed) -> str:
    if completed.timed_out:
        return f"was ended after {completed.seconds:.1f} s without finishing"
    if completed.code < 0:
        return f"was ended by signal {-completed.code}"
    if completed.code == 0 and completed.truncated:
        return f"printed more than {len(completed.stdout)} bytes"
    return f"exited with {completed.code}"


def run(
    argv: Sequence[str],
    *,
    cwd: PathLike | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    timeout: float,
    max_output: int = 10_000_000,
) -> Completed:
    """Run to the end, or to `timeout` seconds. Raises ProgramMissing; any exit code is an answer.

    What it leaves running in the background is not waited for, even when that holds its output open.
    """
    begun = time.monotonic()
    child = _start(
        argv,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    exchange = _Exchange(child, stdin or b"", max_output)
    finished = False
    try:
        finished = exchange.until(begun + timeout)
        if not finished:
            _signal_group(child, signal.SIGTERM)
            exchange.until(time.monotonic() + TERM_GRACE)
    finally:
        if not finished:  # also when the caller was interrupted: nothing of ours stays behind
            _signal_group(child, signal.SIGKILL)
        exchange.close()
        code = child.wait()
    return Completed(
        argv=tuple(argv),
        code=code,
        stdout=bytes(exchange.out),
        stderr=bytes(exchange.err[max(0, len(exchange.err) - max_output) :]),
        seconds=time.monotonic() - begun,
        timed_out=not finished,
        truncated=exchange.truncated,
    )


def check(
    argv: Sequence[str],
    *,
    cwd: PathLike | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    timeout: float,
    max_output: int = 10_000_000,
) -> Completed:
    """Like `run`, but raises ProcessFailed unless it exited with 0 and its output is complete."""
    completed = run(argv, cwd=cwd, env=env, stdin=stdin, timeout=timeout, max_output=max_output)
    if not completed.ok or completed.truncated:
        raise ProcessFailed(completed)
    return completed


def spawn_detached(
    argv: Sequence[str],
    *,
    cwd: PathLike | None = None,
    env: Mapping[str, str] | None = None,
    stdin_fd: int | None = None,
    stdout_fd: int | None = None,
    stderr_fd: int | None = None,
) -> int:
    """Start a process in a session of its own and return its pid; it outlives us.

    A descriptor not given is /dev/null, and no other reaches it. Call `reap_detached` now and then, so
    that one which ended is no zombie.
    """
    reap_detached()
    child = _start(
        argv,
        cwd=cwd,
        env=env,
        stdin=_or_devnull(stdin_fd),
        stdout=_or_devnull(stdout_fd),
        stderr=_or_devnull(stderr_fd),
    )
    _detached[child.pid] = child
    return child.pid


_detached: dict[int, "subprocess.Popen[bytes]"] = {}


def reap_detached() -> list[int]:
    """Collect the detached children that ended, and return their pids. Never blocks."""
    ended = [pid for pid, child in list(_detached.items()) if child.poll() is not None]
    for pid in ended:
        _detached.pop(pid, None)
    return ended


def _or_devnull(fd: int | None) -> int:
    return subprocess.DEVNULL if fd is None else fd


def _start(
    argv: Sequence[str],
    *,
    cwd: PathLike | None,
    env: Mapping[str, str] | None,
    stdin: int,
    stdout: int,
    stderr: int,
) -> "subprocess.Popen[bytes]":
    if isinstance(argv, str | bytes):
        raise TypeError("a command is a list of arguments, not a string")
    if not argv:
        raise ValueError("a command needs at least the program's name")
    if cwd is not None and not Path(cwd).is_dir():
        raise NotADirectoryError(f"working directory {os.fspath(cwd)!r} is not a directory")
    try:
        # Without preexec_fn this is vfork: its cost doesn't grow with our memory.
        return subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=None if env is None else dict(env),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            bufsize=0,
            close_fds=True,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise ProgramMissing(argv[0]) from error
    except PermissionError as error:
        raise ProgramMissing(argv[0], "not executable") from error


def _signal_group(child: "subprocess.Popen[bytes]", sig: signal.Signals) -> None:
    """Safe against a reused pid because the child isn't reaped before the last signal."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, sig)


def _has_ended(pid: int) -> bool:
    """Without reaping, so that the pid, and with it the group, stays ours."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:  # somebody in this process ignores SIGCHLD: the kernel reaped it
        return True


class _Exchange:
    """Feeds a child and collects what it prints, with bounded memory."""

    def __init__(self, child: "subprocess.Popen[bytes]", stdin: bytes, max_output: int) -> None:
        self.child, self.max_output = child, max_output
        self.out, self.err = bytearray(), bytearray()
        self.truncated = False
        self.to_write = memoryview(stdin)
        self.selector = selectors.DefaultSelector()
        for stream, event in (
            (child.stdin, selectors.EVENT_WRITE),
            (child.stdout, selectors.EVENT_READ),
            (child.stderr, selectors.EVENT_READ),
        ):
            if stream is not None:
                os.set_blocking(stream.fileno(), False)
                self.selector.register(stream, event)

    def until(self, deadline: float) -> bool:
        """Exchange until the child has ended (True) or the time is up (False)."""
        look_at = time.monotonic() + POLL
        while (now := time.monotonic()) < deadline:
            if not self.selector.get_map():
                return self._wait_for_end(deadline)
            self._turn(max(0.0, min(deadline, look_at) - now))
            if now >= look_at:  # usually its end closes the pipes; not when a background process holds them
                if _has_ended(self.child.pid):
                    self._drain()
                    return True
                look_at = now + POLL
        return False

    def _wait_for_end(self, deadline: float) -> bool:
        pause = 0.0002
        while not _has_ended(self.child.pid):
            if time.monotonic() > deadline:
                return False
            time.sleep(pause)
            pause = min(pause * 2, 0.02)
        return True

    def _turn(self, timeout: float) -> bool:
        ready = self.selector.select(timeout)
        for key, _event in ready:
            stream: IO[bytes] = key.fileobj  # type: ignore[assignment]
            if stream is self.child.stdin:
                self._write(stream)
            else:
                self._read(stream)
        return bool(ready)

    def _drain(self) -> None:
        """Until a turn finds nothing; bounded, because something in the background may print for ever."""
        for _turn in range(2 * self.max_output // BLOCK + 16):
            if not self.selector.get_map() or not self._turn(0):
                return

    def _write(self, stream: IO[bytes]) -> None:
        try:
            written = os.write(stream.fileno(), self.to_write[:BLOCK])
        except BlockingIOError:
            return
        except BrokenPipeError:  # it doesn't want the rest
            written = len(self.to_write)
        self.to_write = self.to_write[written:]
        if not self.to_write:
            self._finish(stream)

    def _read(self, stream: IO[bytes]) -> None:
        try:
            data = os.read(stream.fileno(), BLOCK)
        except BlockingIOError:
            return
        if not data:
            self._finish(stream)
        elif stream is self.child.stdout:
            room = self.max_output - len(self.out)
            self.truncated = self.truncated or len(data) > room
            self.out += data[:room]
        else:
            self.err += data
            if len(self.err) > 2 * self.max_output + BLOCK:
                del self.err[: len(self.err) - self.max_output]

    def _finish(self, stream: IO[bytes]) -> None:
        self.selector.unregister(stream)
        stream.close()

    def close(self) -> None:
        self.selector.close()
        for stream in (self.child.stdin, self.child.stdout, self.child.stderr):
            if stream is not None and not stream.closed:
                stream.close()
