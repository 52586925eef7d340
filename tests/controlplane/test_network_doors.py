"""The yard behind a TLS proxy, as the guide describes it."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
OPEN = {"ALLOWED_HOSTS": "yard.example", "SECRET_KEY": "k3y-" * 8}


def free_port() -> int:
    """One that has a free neighbour, for the gateway."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            try:
                second.bind(("127.0.0.1", first.getsockname()[1] + 1))
            except (OSError, OverflowError):
                continue
            return int(first.getsockname()[1])


def environment(**more: str) -> dict[str, str]:
    dropped = ("SWARMYARD_", "REDIS_URL", "DATABASE_URL", "SECRET_KEY", "ALLOWED_HOSTS")
    return {name: value for name, value in os.environ.items() if not name.startswith(dropped)} | more


class Silent(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments):
        return None


def status_of(url: str, **headers: str) -> int:
    try:
        with urllib.request.build_opener(Silent).open(
            urllib.request.Request(url, headers=headers), timeout=10
        ) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.fixture
def home() -> Iterator[Path]:
    # Not pytest's own folder: a unix socket's path may have 107 characters at most.
    with tempfile.TemporaryDirectory(prefix="yard-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


@pytest.mark.slow
def test_it_comes_up_for_a_network_and_keeps_its_doors(home):
    port = free_port()
    # On loopback, so that the test opens nothing: to the probe it's the same.
    argv = [sys.executable, "manage.py", "up", "--bind", "127.0.0.1", "--port", str(port)]
    yard = subprocess.Popen(
        argv,
        cwd=PROJECT,
        env=environment(SWARMYARD_HOME=str(home), **OPEN, SWARMYARD_TLS="1"),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        said = yard.stdout.readline()
        address = f"http://127.0.0.1:{port}"

        assert "Swarmyard is up" in said
        assert status_of(f"{address}/healthz/live", Host="10.0.0.7") == 200
        assert status_of(f"{address}/sign-in", Host="evil.example") == 400
        assert status_of(f"{address}/sign-in", Host="yard.example") == 301
        assert status_of(f"{address}/sign-in", Host="yard.example", **{"X-Forwarded-Proto": "https"}) == 200
    finally:
        yard.send_signal(signal.SIGINT)
        yard.communicate(timeout=40)


@pytest.mark.parametrize(
    ("values", "hint"),
    [
        ({"ALLOWED_HOSTS": ""}, "set ALLOWED_HOSTS"),
        ({"ALLOWED_HOSTS": "yard.example,*"}, "name the hosts"),
        ({"SECRET_KEY": ""}, "set SECRET_KEY"),
        ({"SECRET_KEY": "k" * 31}, "at least 32"),
        ({"SWARMYARD_DEBUG": "1"}, "switch SWARMYARD_DEBUG off"),
    ],
)
@pytest.mark.parametrize("option", ["--bind", pytest.param("--gateway-bind", marks=pytest.mark.slow)])
def test_up_opens_no_door_without_every_lock(home, option, values, hint):
    done = subprocess.run(
        [sys.executable, "manage.py", "up", option, "0.0.0.0", "--port", str(free_port())],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=30,
        env=environment(SWARMYARD_HOME=str(home), **(OPEN | values)),
    )

    assert done.returncode == 1
    assert "Listening on 0.0.0.0" in done.stderr
    assert hint in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "bind"), [("asgi", "SWARMYARD_BIND"), ("asgi_gateway", "SWARMYARD_GATEWAY_BIND")]
)
@pytest.mark.parametrize(("values", "code"), [({}, 1), (OPEN, 0)])
def test_a_server_that_is_started_by_hand_refuses_too(home, module, bind, values, code):
    done = subprocess.run(
        [sys.executable, "-c", f"import controlplane.{module}"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=30,
        env=environment(SWARMYARD_HOME=str(home), **{bind: "0.0.0.0"}, **values),
    )

    assert done.returncode == code
    assert ("opens the yard to the network" in done.stderr) is bool(code)
