"""Both databases pass the same tests: those of everything that writes rows run once more on PostgreSQL."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psycopg
import pytest

from tests.controlplane.running import Yard, until
from tests.needs import needs
from tests.postgresql import postgresql_server
from tests.workspaces.repositories import make_repository

ROOT = Path(__file__).parents[1]
FOLDERS = (
    *(
        "access",
        "alerts",
        "builds",
        "capacity",
        "console",
        "controlplane",
        "events",
        "exposition",
        "fleet",
        "scheduler",
    ),
    *("telemetry", "waves", "workspaces"),
)

pytestmark = [pytest.mark.slow, needs("postgresql"), pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def database():
    with postgresql_server() as server:
        yield server


def test_all_that_writes_rows_passes_on_postgresql_too(database):
    folders = [f"tests/{name}" for name in FOLDERS]
    argv = [
        "-m",
        "pytest",
        "-q",
        "-n",
        "4",
        "--dist",
        "loadgroup",
        "-m",
        "not slow and not browser",
        *folders,
    ]

    done = subprocess.run(
        [sys.executable, *argv],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": database.url},
        capture_output=True,
        text=True,
        timeout=850,
    )

    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]


def test_there_are_no_migrations_to_make_and_all_apply(database):
    argv = [sys.executable, str(ROOT / "manage.py"), "migrate", "--verbosity", "0"]

    done = subprocess.run(
        argv, env=os.environ | {"DATABASE_URL": database.url}, capture_output=True, timeout=120
    )

    assert (done.returncode, done.stderr) == (0, b"")


@pytest.fixture
def yard(database):
    """A yard of its own, on a database of its own."""
    name = f"yard{time.monotonic_ns()}"
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yard = Yard(DATABASE_URL=database.url.replace("/postgres?", f"/{name}?"))
    yield yard
    yard.close()


def states(yard):
    return Counter(agent["state"] for agent in yard.agents())


def test_everybody_writes_at_once_and_nobody_locks_anybody_out(yard, tmp_path):
    """Operators, the scheduler, workers and the host change the same rows."""
    repository = make_repository(tmp_path / "project")
    assert "Swarmyard is up" in yard.start()
    yard.wave(repository, "sleep 1000", "--wave-size", "3", agents=20)
    for size in (22, 24, 26):
        commands = [("wave", "pause", "w1"), ("wave", "resume", "w1"), ("wave", "scale", "w1", str(size))]
        running = [subprocess.Popen(yard.argv(*one), env=yard.environment) for one in commands]
        assert all(one.wait(60) in (0, 1) for one in running)  # 1: the others were faster
    yard.run("wave", "resume", "w1", check=False)
    until(lambda: sum(states(yard)[state] for state in ("busy", "idle")) == 26, 90)

    yard.run("wave", "abort", "w1")

    until(lambda: yard.json("wave", "show", "w1")["state"] == "aborted", 60)
    assert "deadlock" not in repr(yard.logs())
    assert "Traceback" not in repr(yard.logs())


def test_a_database_that_goes_away_in_the_middle_of_a_wave_loses_nothing(yard, database, tmp_path):
    repository = make_repository(tmp_path / "project")
    yard.start()
    script = f"echo $SWARMYARD_AGENT >>{tmp_path}/starts; sleep 7; exit 7"
    yard.wave(repository, script, "--wave-size", "3", agents=12)
    until(lambda: (tmp_path / "starts").exists())

    database.stop(signal.SIGQUIT)
    time.sleep(2)
    database.start()

    until(lambda: yard.json("wave", "show", "w1")["state"] == "failed", 90)
    agents = yard.agents()
    assert Counter((agent["state"], agent["exit_code"]) for agent in agents) == {("failed", 7): 12}
    started = (tmp_path / "starts").read_text().split()
    assert sorted(started) == sorted(agent["name"] for agent in agents)
