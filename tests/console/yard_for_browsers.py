"""A web process and a worker, with rows to look at, for tests that drive a browser. Run as a module: makes the rows."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "over-the-hills"
START_SECONDS = 30


@dataclass
class Yard:
    """One web process and one worker on a home of their own."""

    home: Path
    redis_url: str
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    worker: subprocess.Popen[bytes] | None = None
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        own = {"SWARMYARD_HOME": str(self.home), "REDIS_URL": self.redis_url, "PYTHONPATH": str(ROOT)}
        own["SWARMYARD_ALERT_NETWORKS"] = "127.0.0.1"
        self.environment = {**os.environ, **own, "DJANGO_SETTINGS_MODULE": "controlplane.settings"}
        self.environment.pop("DATABASE_URL", None)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def prepare(self) -> None:
        self.run("manage.py", "migrate", "-v0")
        self.run("-m", "tests.console.yard_for_browsers")

    def run(self, *arguments: str) -> None:
        subprocess.run([sys.executable, *arguments], cwd=ROOT, env=self.environment, check=True, timeout=60)

    def output(self, *arguments: str) -> str:
        command = [sys.executable, *arguments]
        return subprocess.check_output(command, cwd=ROOT, env=self.environment, timeout=60, text=True).strip()

    def start(self) -> None:
        command = ["-m", "daphne", "-b", "127.0.0.1", "-p", str(self.port), "controlplane.asgi:application"]
        log = (self.home / "web.log").open("ab")
        self.process = self.spawn(log, *command)
        self.worker = self.spawn(log, "manage.py", "worker", "host.local", "io")
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError((self.home / "web.log").read_text())
            time.sleep(0.05)

    def spawn(self, log: BinaryIO, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, env=self.environment, stdout=log, stderr=log
        )

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.address}/healthz/live", timeout=1):
                return True
        except OSError:
            return False

    def stop(self) -> None:
        for process in (self.process, self.worker):
            if process is not None:
                process.kill()
                process.wait()
        self.process = self.worker = None


def make_rows(home: Path) -> None:
    from apps.events.domain.actor import Role
    from apps.fleet.models import State
    from tests.factories import (
        make_event,
        make_host,
        make_member,
        make_repository,
        make_user,
        make_wave,
        make_workspace,
        now,
    )

    for role in Role:
        user = make_user(role.word, role)
        user.set_password(PASSWORD)
        user.save()
    make_host()
    make_host("builder", draining=True)
    repository = make_repository("ingest", path=str(make_checkout(home / "checkout")), target="main")
    make_repository(
        "broken", state="failed", url="https://example.org/x.git", problem="fatal: repository not found"
    )
    wave = make_wave("w1", repository=repository, size=12, step_size=5, title="Split the ingest crate")
    first = make_member(wave, pk=1, cost_usd=1.2)
    for state in (
        State.BUSY,
        State.IDLE,
        State.WAITING,
        State.PAUSED,
        State.FAILED,
        State.EXITED,
        State.READY,
    ):
        make_member(wave, state=state, reason="exit 1" if state == State.FAILED else "")
    long = "editing a/very/long/path/" + "that/goes/on/" * 12
    make_member(wave, activity=long)
    make_wave("w2", repository=repository, waiting_for="local: memory: 400 MB wanted, 120 MB left to promise")
    make_wave("w0", repository=repository, state="done", ended_at=now())
    first.workspace.delete()
    make_workspace(first, repository=repository, path=str(home / "checkout"), base_commit="HEAD")
    for number in range(20):
        make_event(
            f"w1/agent-{number:02d} paused by otto", topic="agent", subject_id=1, subject="w1/agent-01"
        )
    make_builds(wave)
    make_tuning(repository)
    make_log(home / "runs" / "1" / "1")


def make_builds(wave: Any) -> None:
    """Builds of the wave's first three agents: the second waits for the first, and the third for both."""
    from apps.builds.actions import keep_recording
    from apps.builds.models import HostSlots, Source
    from tests.factories import make_build, make_build_directory, make_host, make_lock_wait, now

    HostSlots.objects.create(host=make_host(), slots=2, told_at=now())
    agents = [member.agent for member in wave.members.select_related("agent").order_by("number")[:3]]
    before = None
    for number, command in enumerate(["check -p ingest", "test --workspace -- -q", "build --release"] * 4):
        asked_at, slot = now() - timedelta(seconds=280 - 20 * number), 600.0 * (number % 3)
        build = make_build(
            agents[number % 3],
            pk=number + 1,
            asked_at=asked_at,
            began_at=asked_at + timedelta(milliseconds=slot),
            arguments=command,
            mode=command.split()[0].replace("build", "release"),
            slot_wait_ms=slot,
            lock_wait_ms=900.0,
        )
        if slot:
            make_lock_wait(build, holder=before, kind="build-slot", ms=slot, path="", began_at=asked_at)
        path = "/home/ada/.cargo/.package-cache"
        make_lock_wait(build, holder=before, holder_pid=77, kind="package-cache", ms=900, path=path)
        before = build
    for state, fields in (
        ("failed", {"exit_code": 101}),
        ("killed", {"exit_code": -15}),
        ("lost", {"exit_code": None, "memory_bytes": None}),
        ("running", {"ended_at": None, "exit_code": None, "memory_bytes": None}),
        ("waiting", {"began_at": None, "ended_at": None, "exit_code": None, "memory_bytes": None}),
    ):
        make_build(agents[0], state=state, **fields)
    keep_recording(build=before, recording=a_recording(), source=Source.TIMINGS, now=now())
    for agent in agents:
        make_build_directory(
            agent, size_bytes=3_400_000_000, shared_bytes=2_900_000_000, sized_at=now(), builds=4
        )
    make_build_directory(path="/home/ada/work/" + "a-long-name/" * 9 + "target", key="", parts={})


def make_tuning(repository: Any) -> None:
    """Bases, compiler caches, waits that go on, and a repository with something switched off."""
    from apps.builds.models import Build, BuildDirectory, BuildOptions
    from tests.factories import (
        make_base,
        make_compiler_cache,
        make_host,
        make_ongoing_wait,
        make_repository,
        now,
    )

    other = make_repository("parser-of-a-longer-name")
    BuildOptions.objects.create(repository=other, slots=False, base_commands="cargo check --workspace")
    make_base(repository, wanted="77aa" * 10)
    problem = "cargo test --workspace --no-run: error[E0425]: cannot find value `colour` in this scope"
    make_base(other, state="failed", problem=problem, same_path=False, built_at=None, size_bytes=None)
    make_base(repository, host=make_host("builder"), state="building", state_at=now())
    BuildDirectory.objects.filter(workspace__isnull=False).update(warm_source="base at 3f2a3f2a3f2a")
    reasons = {"crate-type": 214, "missing input": 12, "unknown source language": 3, "-": 1}
    make_compiler_cache(make_host(), reasons=reasons, errors=2)
    make_compiler_cache(make_host("builder"), problem="sccache is not installed", hits=0, misses=0)
    running = Build.objects.filter(state="running").first()
    holder = Build.objects.order_by("pk").first()
    make_ongoing_wait(running, holder=holder, began_at=now() - timedelta(seconds=12))


def a_recording() -> Any:
    """Forty crates in four columns; each column's last one holds up the next."""
    from apps.builds.domain.units import Rebuild, Recording, Unit

    units = [
        Unit(
            number,
            f"crate-of-a-longer-name-{number:02d}",
            "0.9.0" if number == 7 else "1.0.0",
            "bin app" if number == 39 else "",
            start=2.0 * (number // 10),
            duration=0.4 + 1.6 * (number % 10) / 9,
            unblocks=(number + 10,) if number % 10 == 9 and number < 30 else (),
        )
        for number in range(40)
    ]
    again = Unit(40, "crate-of-a-longer-name-07", "1.0.0", start=0.5, duration=1.2)
    rebuilds = (
        Rebuild("ingest", "0.1.0", f"the file `crates/{'very-' * 20}long/src/lib.rs` has changed"),
        Rebuild("app", "0.1.0", "the dependency `ingest` was rebuilt"),
    )
    cpu = tuple((at / 4, 0.5 + (at % 5) / 10) for at in range(32))
    return Recording((*units, again), cpu=cpu, rebuilds=rebuilds)


def make_checkout(place: Path) -> Path:
    place.mkdir()
    (place / "a.py").write_text("def f():\n    return 1\n")
    names = ["-c", "user.name=Ada", "-c", "user.email=ada@yard.example", "-c", "init.defaultBranch=main"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "First"]):
        subprocess.run(["git", "-C", str(place), *names, *arguments], check=True)
    (place / "a.py").write_text("def f():\n    return '<b>2</b>'\n")
    return place


def make_log(run_dir: Path) -> None:
    run_dir.mkdir(parents=True)
    (run_dir / "segment").write_text("10000000")
    lines = (b"\x1b[32m%05d\x1b[0m compiling <script>alert(1)</script>\n" % number for number in range(4_000))
    (run_dir / "out.1").write_bytes(b"".join(lines))


if __name__ == "__main__":
    import django

    django.setup()
    make_rows(Path(os.environ["SWARMYARD_HOME"]))
