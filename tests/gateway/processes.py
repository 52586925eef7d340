"""The real processes that a sample passes through, and a client that talks to them."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from django.db import connection
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

PROJECT = Path(__file__).resolve().parents[2]


def database_url() -> str:
    """The tests' own database, as a process of its own can reach it."""
    settings = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{settings['NAME']}"
    host = f"{settings['USER']}:{settings['PASSWORD']}@{settings['HOST']}:{settings['PORT'] or 5432}"
    return f"postgresql://{host}/{settings['NAME']}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], Any], *, seconds: float = 60.0, what: str = "") -> Any:
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what or condition}")
        time.sleep(0.02)


class Process:
    """One process of ours, on the tests' Redis and database."""

    def __init__(self, *arguments: str, redis_url: str, **environment: str) -> None:
        self.log = tempfile.TemporaryFile()  # noqa: SIM115
        self.child = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=PROJECT,
            env={**os.environ, "REDIS_URL": redis_url, "DATABASE_URL": database_url(), **environment},
            stdout=self.log,
            stderr=self.log,
        )

    def kill(self) -> None:
        """As `kill -9` does it."""
        self.child.kill()
        self.child.wait()

    def terminate(self) -> int:
        self.child.send_signal(signal.SIGTERM)
        return self.child.wait(timeout=60)

    def output(self) -> str:
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def resident_bytes(self) -> int:
        status = Path(f"/proc/{self.child.pid}/status").read_text()
        [line] = [line for line in status.splitlines() if line.startswith("VmRSS:")]
        return int(line.split()[1]) * 1024


class ServerProcess(Process):
    """Daphne with one of our ASGI applications."""

    module: str

    def __init__(self, redis_url: str, port: int | None = None) -> None:
        self.port = port or free_port()
        where = ["-v", "0", "-b", "127.0.0.1", "-p", str(self.port)]
        super().__init__("-m", "daphne", *where, self.module, redis_url=redis_url)
        wait_until(self.listens, what="it listens")

    def listens(self) -> bool:
        if self.child.poll() is not None:
            raise AssertionError(self.output())
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False


class GatewayProcess(ServerProcess):
    module = "controlplane.asgi_gateway:application"

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws/v1/agents/"


class TelemetryProcess(Process):
    """In a home of its own, as only one at a time is at work in each, unless it is given one."""

    def __init__(self, redis_url: str, home: Path | None = None) -> None:
        self.own_home = None if home else tempfile.TemporaryDirectory(prefix="telemetry-home-")
        place = str(home or (self.own_home and self.own_home.name))
        super().__init__("manage.py", "runtelemetry", redis_url=redis_url, SWARMYARD_HOME=place)


class AgentClient:
    """Speaks the wire format, and nothing more: it doesn't resend by itself."""

    def __init__(self, gateway: GatewayProcess, token: str | None, **headers: str) -> None:
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        self.opening = connect(gateway.url, additional_headers=headers, max_size=2**22, compression=None)
        self.socket: ClientConnection

    def __enter__(self) -> "AgentClient":
        self.socket = self.opening.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.opening.__exit__(None, None, None)

    def receive(self, timeout: float = 30.0) -> dict[str, Any]:
        data = self.socket.recv(timeout=timeout)
        return msgspec.json.decode(data) if isinstance(data, str) else msgspec.msgpack.decode(data)

    def acknowledged(self) -> int:
        """The seq of the acknowledgement that comes next, which may bring a pace as well."""
        return self.receive()["ack"]

    def send(
        self, seq: int, *samples: list[Any], client: str = "c0ffee00", text: bool = False, **rest: Any
    ) -> None:
        self.send_raw({"v": 1, "client": client, "seq": seq, "samples": list(samples), **rest}, text=text)

    def send_raw(self, message: Any, *, text: bool = False) -> None:
        self.socket.send(msgspec.json.encode(message).decode() if text else msgspec.msgpack.encode(message))

    def close_code(self, timeout: float = 30.0) -> int | None:
        """Reads on until the other side closes."""
        with suppress(ConnectionClosed):
            while True:
                self.socket.recv(timeout=timeout)
        return self.socket.close_code


def sample(ms: float = 10.0, *rest: Any) -> list[Any]:
    return ["build", 1_800_000_000.0, ms, 0.0, "ok", *rest]
