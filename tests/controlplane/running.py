"""A whole yard, started as an operator starts it: `manage.py up` as a process with a home of its own."""

import json
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from apps.fleet.launcher import LAUNCH_MARKER, MARKER
from apps.lib import procfs

ROOT = Path(__file__).parents[2]
OURS = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "ALLOWED_HOSTS", "DJANGO_SETTINGS_MODULE")
# A machine for tests may be small and full; and nobody wants to wait for the grace.
MODEST = {
    "SWARMYARD_MIN_FREE_DISK_MB": "1",
    "SWARMYARD_MEMORY_RESERVE_MB": "1",
    "SWARMYARD_STOP_GRACE": "1",
    "SWARMYARD_MAX_MEMORY_PRESSURE": "100",
}


def until(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)
    return result


def free_port():
    """A port of which the next one is free as well."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


class Yard:
    def __init__(self, **environment):
        self.home = Path(tempfile.mkdtemp(prefix="yard-"))  # short: a socket lies in there
        self.environment = {name: value for name, value in os.environ.items() if name not in OURS}
        self.environment |= MODEST | {"SWARMYARD_HOME": str(self.home)} | environment
        self.port = free_port()
        self.up = None
        self.lines = []

    # The processes

    def start(self, *options, command="up"):
        """Returns what it says first."""
        self.lines, heard = [], queue.Queue()
        self.up = subprocess.Popen(
            self.argv(command, "--port", str(self.port), *options),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self.listen, args=(self.up, heard), daemon=True).start()
        try:
            return heard.get(timeout=90)
        except queue.Empty:
            raise AssertionError(f"up said nothing; its logs: {self.logs()}") from None

    def listen(self, up, heard):
        for line in up.stdout:
            self.lines.append(line.rstrip("\n"))
            heard.put(self.lines[-1])

    def interrupt(self, seconds=40):
        """Ctrl-C. Returns the exit code."""
        self.up.send_signal(signal.SIGINT)
        code = self.up.wait(seconds)
        until(lambda: self.up.stdout.closed or not self.lines or self.lines[-1].startswith("Stopped"), 5)
        return code

    def services(self):
        """Live processes of the yard by their name in the Procfile; not what these start, as a worker its job."""
        ours = [one for one in procfs.read_processes().values() if one.ppid == self.up.pid and one.alive]
        return {name: one.pid for one in ours if (name := service_of(one.pid))}

    def of_this_home(self):
        """Every live process that knows this home: the yard's own, agents and their launchers apart."""
        marked = {"yard": [], "agents": [], "launchers": []}
        home = str(self.home)
        for process in procfs.read_processes().values():
            environment = procfs.environment(process.pid) if process.alive else {}
            if environment.get("SWARMYARD_HOME") == home:
                marked["yard"].append(process.pid)
            elif home in environment.get("SWARMYARD_RUN_DIR", ""):
                kind = "launchers" if LAUNCH_MARKER in environment and MARKER not in environment else "agents"
                marked[kind].append(process.pid)
        return marked

    def logs(self):
        folder = self.home / "logs"
        return (
            {path.name: path.read_text()[-2000:] for path in folder.glob("*.log")} if folder.is_dir() else {}
        )

    def close(self):
        if self.up and self.up.poll() is None:
            self.up.send_signal(signal.SIGINT)
            try:
                self.up.wait(40)
            except subprocess.TimeoutExpired:
                self.up.kill()
        for _ in range(100):
            left = [pid for pids in self.of_this_home().values() for pid in pids]
            if not left:
                break
            for pid in left:
                if process := procfs.read_process(pid):
                    procfs.signal_process(pid, process.start_ticks, signal.SIGKILL)
            time.sleep(0.05)
        shutil.rmtree(self.home, ignore_errors=True)

    # Its command line

    def argv(self, *arguments):
        return [sys.executable, str(ROOT / "manage.py"), *arguments]

    def run(self, *arguments, check=True):
        done = subprocess.run(self.argv(*arguments), env=self.environment, capture_output=True, timeout=60)
        assert not check or done.returncode == 0, (done.stdout, done.stderr)
        return done

    def json(self, *arguments):
        return json.loads(self.run(*arguments[:2], "--json", *arguments[2:]).stdout)

    def agents(self):
        return self.json("agent", "list", "--all")

    def wave(self, repository, script, *options, agents=3):
        where = ("--repository", str(repository), "--preset", "command", "--agents", str(agents))
        return self.json("wave", "start", *where, *options, "--", "sh", "-c", script)


def service_of(pid):
    """The name in the Procfile of the process `pid`, by its command line."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except OSError:
        return None
    line = " ".join(words)
    for name, pattern in SERVICES.items():
        if re.search(pattern, line):
            return name
    return None


SERVICES = {
    "redis": r"redis-server",
    "web": r"daphne.* controlplane\.asgi:",
    "gateway": r"daphne.* controlplane\.asgi_gateway:",
    "worker": r"manage\.py worker control",
    "io": r"manage\.py worker host\.\S+ io",
    "scheduler": r"manage\.py runscheduler",
    "host": r"manage\.py runhost",
    "telemetry": r"manage\.py runtelemetry",
}
