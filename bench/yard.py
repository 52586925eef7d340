"""A whole yard for a benchmark: `manage.py up` on free ports with a home of its own, ended with all its agents."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PROJECT = Path(__file__).resolve().parent.parent
UP_SECONDS = 60
DONE = {"done", "failed", "aborted"}


class Yard:
    """Use as a context. `api` calls the HTTP API as an operator."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="yard-bench-", dir="/tmp"))
        self.port, self.gateway_port = free_port(), free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SWARMYARD_")},
            "SWARMYARD_HOME": str(self.home),
            "SWARMYARD_MIN_FREE_DISK_MB": "500",
            "SWARMYARD_COMPILER_CACHE_GB": "0",  # its server would outlive this yard
        }
        self.link = ""

    def __enter__(self) -> Self:
        ports = ["--port", str(self.port), "--gateway-port", str(self.gateway_port)]
        self.up = subprocess.Popen(
            [sys.executable, "manage.py", "up", *ports],
            cwd=PROJECT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        deadline = time.monotonic() + UP_SECONDS
        while not self.link:
            line = self.up.stdout.readline() if self.up.stdout else ""
            if not line or time.monotonic() > deadline:
                raise RuntimeError(f"the yard didn't come up; see {self.home}/logs")
            self.link = line.split()[-1] if "sign in once" in line else ""
        self.token = self.manage("apitoken", "make", "--name", "bench", "--role", "operator").strip()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for wave in self.api("GET", "/waves?open_only=true"):
                self.end(wave["wave"])
        finally:
            self.up.terminate()
            self.up.wait(30)
            if kind is None:
                shutil.rmtree(self.home, ignore_errors=True)

    def manage(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=PROJECT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout

    def api(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        request = urllib.request.Request(
            f"{self.address}/api/v1{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {path}: {error.code} {error.read().decode()}") from error

    def agents(self, wave: str) -> list[dict[str, Any]]:
        return list(self.api("GET", f"/agents?wave={wave}"))

    def wait_for(self, wave: str, states: set[str], count: int, *, seconds: float) -> dict[str, Any]:
        """The wave, once `count` of its agents are in any of the progress columns `states`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found: dict[str, Any] = self.api("GET", f"/waves/{wave}")
            if sum(found["progress"][state] for state in states) >= count:
                return found
            time.sleep(0.1)
        raise RuntimeError(
            f"{wave} has {found['progress']} after {seconds} s; waits for {found['waiting_for']!r}"
        )

    def end(self, wave: str) -> None:
        """Abort a wave and wait until nothing of it is left."""
        if self.api("GET", f"/waves/{wave}")["state"] in DONE:
            return
        self.api("POST", f"/waves/{wave}/abort")
        deadline = time.monotonic() + 60
        while self.api("GET", f"/waves/{wave}")["state"] not in DONE:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{wave} didn't end")
            time.sleep(0.1)

    def first_output(self, agent: dict[str, Any]) -> Path:
        return self.home / "runs" / str(agent["id"]) / "1" / "out.1"

    def plane(self) -> dict[int, str]:
        """Pids of the control plane's processes, with their command lines: `up` and everything below it."""
        found = {self.up.pid: "up"}
        grown = True
        while grown:
            grown = False
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit() and int(entry.name) not in found and parent(entry) in found:
                    found[int(entry.name)] = command_line(entry)
                    grown = True
        return {pid: line for pid, line in found.items() if not is_agents(pid)}

    def process(self, part: str) -> int:
        """The pid of the plane's process whose command line holds `part`."""
        return next(pid for pid, line in self.plane().items() if part in line)


def is_agents(pid: int) -> bool:
    """Whether a process is an agent's, or its launcher's: they carry a marker, and start below `runhost`."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return b"SWARMYARD_LAUNCH=" in environment or b"SWARMYARD_RUN=" in environment


def parent(entry: Path) -> int:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return -1


def command_line(entry: Path) -> str:
    try:
        return (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def memory_mb(pid: int, kind: str) -> float:
    """Rss or Pss of a process in MB; 0 when it is gone."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    return next(
        (int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith(f"{kind}:")), 0.0
    )


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def make_repository(path: Path, files: int = 250) -> Path:
    """A repository of `files` small text files in 25 directories, one commit."""
    for number in range(files):
        target = path / f"part{number % 25:02d}" / f"file{number:03d}.py"
        target.parent.mkdir(parents=True, exist_ok=True)
        body = "".join(f"    total += {number} * {line}\n" for line in range(60))
        target.write_text(f"def sum_{number}():\n    total = 0\n{body}    return total\n")
    identity = ["-c", "user.name=Bench", "-c", "user.email=bench@localhost"]
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "Start"]):
        subprocess.run(["git", "-C", str(path), *identity, *words], check=True, capture_output=True)
    return path
