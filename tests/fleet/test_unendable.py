"""Processes that can't be ended, and launchers that hang: an agent's end is on record all the same, with its status."""

import subprocess
import sys
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.fleet import launcher, reaper, supervisor
from apps.fleet.domain.lifecycle import ENDING_LIMIT, STARTING_LIMIT
from apps.fleet.models import State
from tests.fleet.launching import eventually, is_running
from tests.fleet.supervising import UNTIL_TOLD

LIMIT = timedelta(seconds=ENDING_LIMIT)
HOLD = "import sys, time; f = open(sys.argv[1], 'wb'); print(flush=True); time.sleep(60)"


@pytest.fixture
def unkillable(monkeypatch):
    """Nobody has the right to end these pids, as with a program that runs as another user."""
    pids, send = set(), reaper.signal_process

    def refused(pid, ticks, sig):
        return False if pid in pids else send(pid, ticks, sig)

    with monkeypatch.context() as patch:
        patch.setattr(reaper, "signal_process", refused)
        yield pids


def spare_children(fleet, agent, pids):
    pids.update(process.pid for process in fleet.processes(agent) if process.pid != agent.pid)
    assert pids


def test_an_end_does_not_wait_for_a_process_that_cannot_be_ended(fleet, unkillable):
    agent = fleet.running(f"setsid sleep 60 >/dev/null 2>&1 & {UNTIL_TOLD}; exit 3")
    spare_children(fleet, agent, unkillable)
    fleet.tell()
    eventually(lambda: not is_running(agent.pid))
    fleet.supervisor.tick()
    agent.refresh_from_db()
    assert agent.state in (State.BUSY, State.IDLE)

    fleet.ahead = LIMIT
    fleet.until_ended(agent)

    assert (agent.state, agent.exit_code) == ("failed", 3)
    assert agent.reason.endswith("; 1 process could not be ended")
    fleet.supervisor.tick()  # tells of the stray
    assert not fleet.supervisor.tick()
    unkillable.clear()
    fleet.until(lambda: not fleet.processes())


def test_it_does_not_look_every_moment_for_long(fleet, unkillable):
    agent = fleet.running(f"setsid sleep 60 >/dev/null 2>&1 & {UNTIL_TOLD}; exit 3")
    spare_children(fleet, agent, unkillable)
    fleet.tell()
    eventually(lambda: not is_running(agent.pid))
    fleet.until(lambda: fleet.supervisor.watches[agent.pk].ending_since)
    assert fleet.supervisor.tick()

    fleet.ahead = LIMIT / 2

    assert not fleet.supervisor.tick()
    unkillable.clear()


def test_an_end_does_not_wait_for_whoever_else_holds_the_output(fleet, monkeypatch):
    agent = fleet.running(f"{UNTIL_TOLD}; exit 3")
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            HOLD,
            f"/proc/{agent.pid}/fd/1",
        ],
        stdout=subprocess.PIPE,
    )
    try:
        holder.stdout.readline()
        fleet.tell()
        monkeypatch.setattr(reaper, "output_holders", lambda marker, seen: set())  # beyond our rights to see
        eventually(lambda: not is_running(agent.pid))
        fleet.until(lambda: fleet.supervisor.watches[agent.pk].ending_since)

        fleet.ahead = LIMIT
        fleet.until_ended(agent)

        assert (agent.state, agent.exit_code) == ("failed", 3)
        assert agent.reason.endswith("held its output")
        fleet.until(lambda: not fleet.launchers())
    finally:
        holder.kill()
        holder.wait()


@pytest.fixture
def hanging_launcher(monkeypatch, tmp_path):
    script = tmp_path / "hangs.sh"
    script.write_text("exec sleep 60\n")
    monkeypatch.setattr(launcher, "SCRIPT", script)


@pytest.mark.parametrize(("verb", "state"), [(None, "lost"), ("stop", "exited")])
def test_a_launcher_that_hangs_is_ended_with_its_start(fleet, hanging_launcher, verb, state):
    agent = fleet.until_state(fleet.shell("exit 0"), State.STARTING)
    fleet.until(fleet.launchers)
    if verb:
        fleet.do(verb, agent)

    fleet.ahead = timedelta(seconds=STARTING_LIMIT + 1)
    fleet.until_ended(agent)

    assert (agent.state, agent.epoch) == (state, 1)
    assert ("launcher hung" in agent.reason) is (verb is None)
    fleet.until(lambda: not fleet.launchers())


def test_a_kill_ends_a_launcher_that_hangs(fleet, hanging_launcher):
    agent = fleet.until_state(fleet.shell("exit 0"), State.STARTING)
    fleet.do("kill", agent)
    fleet.supervisor.tick()

    fleet.ahead = LIMIT
    fleet.until_ended(agent)

    fleet.until(lambda: not fleet.launchers())


def test_a_launcher_that_was_stopped_does_not_hold_up_the_end(fleet):
    agent = fleet.running("sleep 0.5; kill -STOP $PPID; exit 0")
    fleet.until(lambda: fleet.supervisor.watches[agent.pk].ending_since)

    fleet.ahead = timedelta(seconds=STARTING_LIMIT)
    fleet.until_ended(agent)

    assert agent.state == "lost"
    fleet.until(lambda: not fleet.launchers())


def test_one_that_never_becomes_stopped_is_signalled_again_and_not_written_again(fleet, monkeypatch):
    agent = fleet.running("sleep 60")
    monkeypatch.setattr(supervisor.reaper, "signal_all", lambda tree, sig: 0)  # as a vfork's parent, for now
    fleet.do("pause", agent)
    fleet.until_state(agent, State.PAUSED)
    fleet.supervisor.measuring.measured_at = fleet.now() + timedelta(
        seconds=60
    )  # its writes are another matter

    with CaptureQueriesContext(connection) as queries:
        moving = fleet.supervisor.tick()

    assert not moving
    assert not [query for query in queries if query["sql"].startswith(("UPDATE", "INSERT"))]
    monkeypatch.undo()
    fleet.supervisor.tick()
    eventually(lambda: all(process.state == "T" for process in fleet.processes(agent)))
