"""Keeping the processes of one machine running: start, watch, start again, stop all."""

import logging
import logging.handlers
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from apps.fleet.reaper import descendants
from apps.lib import procfs
from apps.lib.loops import end_with_parent

LOG_BYTES = 5_000_000
LINE_LIMIT = 65_536
CALM_AFTER = 60.0  # seconds of life after which a process counts as well again
LONGEST_BACK_OFF = 10.0
TERM_SECONDS = 10.0
AGENTS_BELOW = "host"  # the process whose children shall live on


@dataclass(slots=True)
class Service:
    """One process of the Procfile."""

    name: str
    argv: Sequence[str]
    child: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    start_at: float = 0.0
    failures: int = 0
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("up"))

    @property
    def alive(self) -> bool:
        return self.child is not None and self.child.poll() is None


def back_off(failures: int) -> float:
    """Seconds to wait before a process is started again: 0.25, 0.5, 1, … up to 10."""
    return float(min(LONGEST_BACK_OFF, 0.25 * 2 ** max(0, failures - 1)))


class Supervision:
    def __init__(
        self,
        commands: Mapping[str, Sequence[str]],
        *,
        environment: Mapping[str, str],
        directory: Path,
        logs: Path,
        say: Callable[[str], None],
    ) -> None:
        self.environment = dict(environment)
        self.directory = directory
        self.say = say
        logs.mkdir(exist_ok=True, mode=0o700)
        self.services = [Service(name, argv, log=file_log(name, logs)) for name, argv in commands.items()]

    def named(self, name: str) -> Service:
        return next(service for service in self.services if service.name == name)

    def start(self, name: str) -> None:
        self.start_service(self.named(name))

    def is_alive(self, name: str) -> bool:
        return self.named(name).alive

    def start_all(self) -> None:
        for service in self.services:
            if not service.alive:
                self.start_service(service)

    def start_service(self, service: Service) -> None:
        service.started_at = time.monotonic()
        service.child = subprocess.Popen(
            service.argv,
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # A session of its own: Ctrl-C reaches `up` alone, which stops the others in order.
            start_new_session=True,
            preexec_fn=end_with_parent,
        )
        threading.Thread(target=copy_lines, args=(service,), daemon=True).start()

    def watch(self) -> None:
        """Start again what ended. Call it about four times a second."""
        now = time.monotonic()
        for service in self.services:
            if service.alive:
                if service.failures and now - service.started_at > CALM_AFTER:
                    service.failures = 0
            elif service.child is not None:
                self.note_end(service, now)
            elif now >= service.start_at:
                self.start_service(service)

    def note_end(self, service: Service, now: float) -> None:
        code = service.child.returncode if service.child else None
        service.child = None
        service.failures += 1
        service.start_at = now + back_off(service.failures)
        how = f"signal {-code}" if code is not None and code < 0 else f"exit {code}"
        self.say(f"{service.name} ended ({how}) and is started again; see logs/{service.name}.log")

    def stop_all(self, *, last: str) -> None:
        """End everything in order, `last` after all the others, which use it."""
        end([service for service in self.services if service.name != last])
        end([service for service in self.services if service.name == last])


def end(services: Sequence[Service]) -> None:
    """Ask once, and again at half time: a worker finishes its job first, and drops it when it is asked twice."""
    alive = [service for service in services if service.alive]
    below: dict[int, int] = {}
    for _ in range(2):
        below |= helpers_of(alive)
        for service in alive:
            if service.child:
                service.child.terminate()
        alive = wait_for(alive, TERM_SECONDS / 2)
    for service in alive:
        if service.child:
            os.killpg(service.child.pid, signal.SIGKILL)
            service.child.wait()
    for pid, ticks in below.items():
        procfs.signal_process(pid, ticks, signal.SIGKILL)


def wait_for(services: Sequence[Service], seconds: float) -> list[Service]:
    """Those that are still there after so long."""
    deadline = time.monotonic() + seconds
    for service in services:
        if service.child:
            with suppress(subprocess.TimeoutExpired):
                service.child.wait(max(0.0, deadline - time.monotonic()))
    return [service for service in services if service.alive]


def helpers_of(services: Sequence[Service]) -> dict[int, int]:
    """What they started, as a worker its job and that its git: pid to start time. Not what the host started: agents."""
    roots = [service.child.pid for service in services if service.child and service.name != AGENTS_BELOW]
    processes = procfs.read_processes()
    return {pid: processes[pid].start_ticks for pid in descendants(processes, roots) if pid not in roots}


def file_log(name: str, directory: Path) -> logging.Logger:
    log = logging.getLogger(f"up.{name}")
    log.propagate = False
    log.setLevel(logging.INFO)
    handler = logging.handlers.RotatingFileHandler(
        directory / f"{name}.log", maxBytes=LOG_BYTES, backupCount=2
    )
    log.handlers = [handler]
    return log


def copy_lines(service: Service) -> None:
    """What a process prints, into its log; ends with the process."""
    stream = service.child.stdout if service.child else None
    if stream is None:
        return
    with stream:
        while line := stream.readline(LINE_LIMIT):
            service.log.info(line.decode("utf-8", "replace").rstrip("\n"))
