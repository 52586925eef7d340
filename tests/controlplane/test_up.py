"""`manage.py up` for real: one line, one yard a home, everything stopped on Ctrl-C but the agents."""

import os
import re
import signal
import socket
import subprocess
import urllib.error
import urllib.request

import pytest

from apps.lib import procfs
from tests.workspaces.repositories import make_repository

from .running import SERVICES, Yard, free_port, until


@pytest.fixture
def yard():
    yard = Yard()
    yield yard
    yard.close()


# What is refused at once


def slow(*values):
    """The same once more, each with a process of its own."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


@pytest.mark.parametrize("bind", ["0.0.0.0", *slow("192.0.2.1", "::", "yard.example")])
def test_another_address_wants_locked_doors(yard, bind):
    refused = yard.run("up", "--bind", bind, check=False)

    assert refused.returncode == 1
    assert refused.stdout == b""
    assert b"ALLOWED_HOSTS" in refused.stderr
    assert b"SECRET_KEY" in refused.stderr


@pytest.mark.parametrize("given", ["ALLOWED_HOSTS", "SECRET_KEY"])
def test_one_lock_is_not_enough(yard, given):
    yard.environment[given] = "yard.example"

    refused = yard.run("up", "--bind", "0.0.0.0", check=False)

    assert refused.returncode == 1
    assert f"set {({'ALLOWED_HOSTS', 'SECRET_KEY'} - {given}).pop()}" in refused.stderr.decode()


@pytest.mark.parametrize("option", ["--port", "--gateway-port"])
def test_a_port_that_is_in_use_is_named(yard, option):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        refused = yard.run("up", "--port", str(yard.port), option, str(port), check=False)

    assert refused.returncode == 1
    assert f"Port {port} on 127.0.0.1 is in use" in refused.stderr.decode()


@pytest.mark.parametrize("port", ["65535", *slow("0", "-1", "65536")])
def test_a_port_that_is_none_is_refused(yard, port):
    refused = yard.run("up", "--port", port, check=False)

    assert refused.returncode == 1
    assert b"is not a port: give 1 to 65535" in refused.stderr


def test_a_home_too_deep_for_a_socket_is_refused(yard):
    deep = yard.home / ("d" * 60) / ("e" * 60)
    yard.environment["SWARMYARD_HOME"] = str(deep)

    refused = yard.run("up", "--port", str(yard.port), check=False)

    assert refused.returncode == 1
    assert b"too long a path for a socket" in refused.stderr


def test_a_redis_that_does_not_answer_is_named(yard):
    yard.environment["REDIS_URL"] = "redis://:secret@127.0.0.1:1/0"

    refused = yard.run("up", "--port", str(yard.port), check=False)

    assert refused.returncode == 1
    assert b"redis://127.0.0.1:1/0 doesn't answer" in refused.stderr
    assert b"secret" not in refused.stderr


@pytest.mark.slow
def test_a_database_that_does_not_answer_is_named(yard):
    yard.environment["DATABASE_URL"] = "postgresql://nobody@127.0.0.1:1/none"

    refused = yard.run("up", "--port", str(yard.port), check=False)

    assert refused.returncode == 1
    assert b"DATABASE_URL" in refused.stderr
    assert b"Traceback" not in refused.stderr


# What runs


@pytest.fixture(scope="module")
def running():
    yard = Yard()
    yard.first_line = yard.start()
    yield yard
    yard.close()


def get(yard, path, **headers):
    request = urllib.request.Request(f"http://127.0.0.1:{yard.port}{path}", headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer


@pytest.mark.slow
def test_it_says_one_line_with_the_address_and_a_link_that_works_once(running):
    address = f"http://127.0.0.1:{running.port}"
    assert running.lines == [running.first_line]
    link = re.fullmatch(
        rf"Swarmyard is up: {address} - sign in once with {address}(/sign-in/link/\S+)", running.first_line
    )

    assert get(running, "/healthz/ready").status == 200
    assert get(running, link[1]).status == 200


@pytest.mark.slow
def test_every_process_of_the_procfile_runs(running):
    until(lambda: set(running.services()) == set(SERVICES))


@pytest.mark.slow
def test_a_second_start_on_the_same_home_is_refused(running):
    refused = running.run("up", "--port", str(free_port()), check=False)

    assert refused.returncode == 1
    assert refused.stdout == b""
    told = refused.stderr.decode()
    assert f"A yard is up already on {running.home} (process {running.up.pid}" in told
    assert str(running.port) in told


@pytest.mark.slow
def test_a_second_runhost_is_refused(running):
    refused = running.run("runhost", check=False)

    assert refused.returncode == 1
    assert b"is running already" in refused.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", SERVICES)
def test_a_process_that_was_killed_is_started_again(running, name):
    old = until(lambda: running.services().get(name))

    os.kill(old, signal.SIGKILL)

    until(lambda: running.services().get(name) not in (None, old))
    assert any(line.startswith(f"{name} ended (signal 9)") for line in running.lines)
    until(lambda: answers(running))


def answers(yard):
    try:
        return get(yard, "/healthz/ready").status == 200
    except (urllib.error.URLError, OSError):
        return False


@pytest.mark.slow
def test_nothing_of_it_can_be_read_by_others(running):
    assert running.home.stat().st_mode & 0o077 == 0
    for name in ("secret_key", "redis.sock", "logs", "redis", "home_id"):
        path = running.home / name
        assert not path.exists() or path.stat().st_mode & 0o077 == 0, name


@pytest.mark.slow
def test_ctrl_c_stops_everything_but_the_agents_and_the_next_start_adopts_them(yard, tmp_path):
    repository = make_repository(tmp_path / "project")
    yard.start()
    yard.wave(repository, f"echo $SWARMYARD_AGENT >>{tmp_path}/starts; sleep 1000", agents=3)
    until(lambda: [agent["state"] for agent in yard.agents()].count("busy") == 3)
    pids = {agent["pid"] for agent in yard.agents()}

    assert yard.interrupt() == 0

    assert yard.lines[-1] == "Stopped. 3 agents keep running; the next `manage.py up` takes them over."
    left = yard.of_this_home()
    assert left["yard"] == []
    assert pids <= set(left["agents"])

    yard.start()
    until(lambda: {agent["state"] for agent in yard.agents()} <= {"busy", "idle"})
    assert {agent["pid"] for agent in yard.agents()} == pids
    assert len((tmp_path / "starts").read_text().split()) == 3

    yard.json("wave", "abort", "w1")
    until(lambda: {agent["state"] for agent in yard.agents()} == {"exited"})
    yard.interrupt()
    assert yard.lines[-1] == "Stopped."
    assert yard.of_this_home() == {"yard": [], "agents": [], "launchers": []}


@pytest.mark.slow
def test_when_up_itself_is_killed_its_processes_end_and_agents_live_on(yard, tmp_path):
    repository = make_repository(tmp_path / "project")
    yard.start()
    yard.wave(repository, "sleep 1000", agents=2)
    until(lambda: [agent["state"] for agent in yard.agents()].count("busy") == 2)

    yard.up.kill()
    yard.up.wait()

    until(lambda: not yard.of_this_home()["yard"])
    assert len(yard.of_this_home()["launchers"]) >= 2
    yard.start()
    until(lambda: {agent["state"] for agent in yard.agents()} <= {"busy", "idle"})


@pytest.mark.slow
def test_with_locked_doors_it_serves_under_its_names(tmp_path):
    yard = Yard(ALLOWED_HOSTS="yard.example", SECRET_KEY="x" * 60)
    try:
        assert "Swarmyard is up" in yard.start("--bind", "0.0.0.0")
        assert get(yard, "/sign-in", Host="yard.example").status == 200
        assert get(yard, "/healthz/live", Host="evil.example").status == 200  # probes come past the proxy
        with pytest.raises(urllib.error.HTTPError, match="400"):
            get(yard, "/sign-in", Host="evil.example")
    finally:
        yard.close()


@pytest.mark.slow
def test_ctrl_c_while_it_starts_leaves_nothing(yard):
    yard.up = subprocess.Popen(
        yard.argv("up", "--port", str(yard.port)), env=yard.environment, start_new_session=True
    )
    until(lambda: yard.services())

    yard.up.send_signal(signal.SIGINT)

    assert yard.up.wait(40) == 0
    assert yard.of_this_home()["yard"] == []
    assert not procfs.read_process(yard.up.pid)
