"""From a row that wants an agent to its end on record: real processes, one round of the supervisor after the other."""

import os
import signal
import time

import pytest

from apps.events.models import Event
from apps.fleet.models import Agent, Desired, State
from apps.fleet.places import run_dir
from apps.fleet.tokens import agent_for_token
from apps.lib import procfs

from .supervising import environment_of, kinds


def test_it_runs_an_agent_from_ready_to_its_exit_status(fleet):
    agent = fleet.shell("echo working; exit 0")

    fleet.until_ended(agent)

    assert (agent.state, agent.reason, agent.exit_code) == ("exited", "done", 0)
    assert agent.epoch == 1
    assert agent.launched_at <= agent.first_seen_at <= agent.ended_at
    assert kinds(agent) == ["agent.started", "agent.exited"]
    assert fleet.output(agent) == b"working\n"


@pytest.mark.parametrize(
    ("script", "code", "state"),
    [
        ("exit 3", 3, "failed"),
        ("exit 255", 255, "failed"),
        ("kill -9 $$", 137, "lost"),
        ("kill -TERM $$; sleep 5", 143, "lost"),
    ],
)
def test_it_tells_how_an_agent_ended(fleet, script, code, state):
    agent = fleet.shell(f"ulimit -c 0; {script}")

    fleet.until_ended(agent)

    assert (agent.state, agent.exit_code) == (state, code)
    assert kinds(agent) == ["agent.started", f"agent.{state}"]
    assert Event.objects.get(kind=f"agent.{state}").data == {"epoch": 1, "exit_code": code}


def test_a_program_that_is_not_there_never_started(fleet):
    agent = fleet.agent("no-such-program")

    fleet.until_ended(agent)

    assert (agent.state, agent.exit_code, agent.first_seen_at) == ("failed", 127, None)
    assert kinds(agent) == ["agent.failed"]


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ({"preset": "nosuch"}, "no preset “nosuch”"),
        ({"command": []}, "needs a command"),
        ({"workspace_path": "/nowhere/at/all"}, "not a directory"),
    ],
)
def test_an_agent_that_cannot_be_launched_fails_with_the_reason(fleet, overrides, told):
    agent = fleet.shell("true", **overrides)

    fleet.until_ended(agent)

    assert agent.state == "failed"
    assert "could not be started" in agent.reason
    assert told in agent.reason
    assert kinds(agent) == ["agent.failed"]


def test_an_agent_is_given_its_own_variables_and_its_shims_come_first(fleet, tmp_path):
    shims = tmp_path / "shims"
    shims.mkdir()
    (shims / "cargo").write_text("#!/bin/sh\necho shim $SWARMYARD_BUILD_DIRS $SWARMYARD_AGENT\n")
    (shims / "cargo").chmod(0o755)
    given = {"SWARMYARD_SHIMS": str(shims), "SWARMYARD_BUILD_DIRS": "/b/1", "SWARMYARD_AGENT": "not this"}
    agent = fleet.shell("cargo; command -v sh", environment=given)
    fleet.until_ended(agent)

    told, shell = fleet.output(agent).decode().splitlines()

    assert told == f"shim /b/1 {agent.name}"
    assert shell.endswith("/sh")


def test_one_that_cannot_be_launched_does_not_keep_the_others(fleet):
    broken = fleet.shell("true", preset="nosuch")
    good = fleet.shell("exit 0")

    fleet.until_ended(broken, good)

    assert good.exit_code == 0


def test_a_held_agent_is_not_started(fleet):
    agent = fleet.shell("echo no", desired=Desired.HELD)

    for _ in range(5):
        fleet.supervisor.tick()

    agent.refresh_from_db()
    assert (agent.state, agent.epoch) == (State.READY, 0)


def test_a_live_agent_gives_heartbeats_and_its_memory_is_seen(fleet):
    agent = fleet.running(
        "exec python3 -c 'import time; held = bytearray(200_000_000); print(1, flush=True); time.sleep(60)'"
    )

    def seen():
        agent.refresh_from_db()
        return (agent.memory_bytes or 0) > 190_000_000

    fleet.until(seen)
    first = agent.seen_at

    assert agent.memory_bytes < 300_000_000
    assert agent.processes == 1
    fleet.until(lambda: Agent.objects.get(pk=agent.pk).seen_at > first)


def test_memory_counts_the_whole_tree(fleet):
    agent = fleet.running("for i in 1 2 3; do sleep 60 & done; wait")

    def grown():
        agent.refresh_from_db()
        return agent.processes == 4

    fleet.until(grown)


def test_a_stop_asks_with_sigterm_and_keeps_the_exit_status(fleet):
    agent = fleet.running("trap 'echo bye; exit 4' TERM; while :; do sleep 0.05; done")

    fleet.do("stop", agent)
    fleet.until_ended(agent)

    assert (agent.state, agent.reason, agent.exit_code) == ("exited", "stopped on request", 4)
    assert b"bye" in fleet.output(agent)
    assert kinds(agent) == ["agent.started", "agent.stopped", "agent.exited"]


def test_one_that_ignores_sigterm_is_ended_after_the_grace(fleet, settings):
    agent = fleet.running("trap '' TERM; while :; do sleep 0.05; done")

    fleet.do("stop", agent)
    begun = time.monotonic()
    fleet.until_ended(agent)

    assert agent.exit_code == 137
    assert time.monotonic() - begun >= settings.STOP_GRACE_SECONDS
    assert not fleet.processes()


def test_a_kill_ends_grandchildren_in_sessions_of_their_own(fleet):
    agent = fleet.running("setsid sh -c 'setsid sleep 61 & sleep 62' & sleep 63")
    fleet.until(lambda: len(fleet.processes(agent)) >= 4)

    fleet.do("kill", agent)
    fleet.until_ended(agent)

    assert (agent.state, agent.exit_code) == ("exited", 137)
    assert not fleet.processes()


def test_descendants_that_outlive_an_agent_are_reaped_before_its_end_is_written(fleet):
    agent = fleet.shell("setsid sleep 61 & setsid -f env -i setsid sleep 62; exit 5")

    fleet.until_ended(agent)

    assert agent.exit_code == 5
    assert not fleet.processes()
    assert not fleet.launchers()


def test_pausing_freezes_the_whole_tree_and_resuming_thaws_it(fleet):
    agent = fleet.running("setsid sh -c 'while :; do date +%N; sleep 0.02; done' & wait")

    fleet.do("pause", agent)
    fleet.until_state(agent, State.PAUSED)
    fleet.until(lambda: {process.state for process in fleet.processes(agent)} == {"T"})
    printed = fleet.until(lambda: size_at_rest(fleet, agent))  # its logger may have been behind
    for _ in range(5):
        fleet.supervisor.tick()
        time.sleep(0.02)
    assert len(fleet.output(agent)) == printed

    fleet.do("resume", agent)
    fleet.until_state(agent, State.BUSY)
    fleet.until(lambda: len(fleet.output(agent)) > printed)

    assert kinds(agent) == ["agent.started", "agent.paused", "agent.resumed"]


def size_at_rest(fleet, agent):
    before = len(fleet.output(agent))
    time.sleep(0.1)
    return before if len(fleet.output(agent)) == before else None


def test_one_that_is_paused_before_it_was_seen_alive_still_has_its_start_on_record(fleet):
    agent = fleet.shell("sleep 60")
    fleet.until_state(agent, State.STARTING)

    fleet.do("pause", agent)
    fleet.until_state(agent, State.PAUSED)

    assert agent.pid
    assert agent.first_seen_at
    assert kinds(agent) == ["agent.paused", "agent.started"]


def test_a_paused_agent_can_be_stopped(fleet):
    agent = fleet.running("trap 'exit 4' TERM; while :; do sleep 0.05; done")
    fleet.do("pause", agent)
    fleet.until_state(agent, State.PAUSED)

    fleet.do("stop", agent)
    fleet.until_ended(agent)

    assert agent.exit_code == 4


def test_a_restart_ends_a_live_agent_and_starts_its_next_epoch(fleet):
    agent = fleet.running("echo $SWARMYARD_RUN; sleep 60")

    fleet.do("restart", agent)
    fleet.until(lambda: Agent.objects.get(pk=agent.pk).epoch == 2)
    fleet.until_state(agent, State.BUSY)

    assert [process.pid for process in fleet.processes(agent)].count(agent.pid) == 1
    assert kinds(agent) == [
        "agent.started",
        "agent.restarted",
        "agent.exited",
        "agent.revived",
        "agent.started",
    ]
    fleet.until(lambda: fleet.output(agent).strip().endswith(b".2"))


def test_the_output_of_the_next_epoch_is_read_from_its_beginning(fleet):
    agent = fleet.running("seq 1000; sleep 60")
    fleet.until(lambda: (Agent.objects.get(pk=agent.pk).output_offset or 0) > 1000)

    fleet.do("restart", agent)
    fleet.until(lambda: Agent.objects.get(pk=agent.pk).epoch == 2)

    fleet.until(lambda: Agent.objects.get(pk=agent.pk).activity == "1000")
    agent.refresh_from_db()
    assert agent.output_offset == len(fleet.output(agent))


def test_a_lost_agent_comes_back_by_its_policy_as_often_as_allowed(fleet, settings):
    settings.MAX_RESTARTS = 2
    agent = fleet.shell("kill -9 $$", restart_policy="lost")

    for epoch in (1, 2, 3):
        fleet.until(lambda epoch=epoch: Agent.objects.get(pk=agent.pk).epoch == epoch)
        fleet.until_ended(agent)
        fleet.ahead += fleet.ahead.resolution * 10_000_000  # ten seconds
    for _ in range(5):
        fleet.supervisor.tick()

    agent.refresh_from_db()
    assert (agent.state, agent.epoch, agent.restarts, agent.restart_at) == ("lost", 3, 2, None)
    assert kinds(agent).count("agent.started") == kinds(agent).count("agent.lost") == 3


def test_one_that_was_stopped_on_request_does_not_come_back(fleet):
    agent = fleet.running("while :; do sleep 0.05; done", restart_policy="failure")

    fleet.do("kill", agent)
    fleet.until_ended(agent)

    assert agent.restart_at is None


def test_a_stop_that_comes_in_while_the_end_is_written_is_not_overruled_by_the_policy(fleet):
    agent = fleet.running("sleep 60", restart_policy="failure")
    os.kill(agent.pid, signal.SIGKILL)
    look = fleet.supervisor.end

    def end(*arguments):
        Agent.objects.filter(pk=agent.pk).update(desired=Desired.STOPPED)
        return look(*arguments)

    fleet.supervisor.end = end
    fleet.until_ended(agent)

    assert agent.restart_at is None


def test_a_restart_that_comes_in_while_the_end_is_written_is_not_lost(fleet):
    agent = fleet.running("sleep 60")
    os.kill(agent.pid, signal.SIGKILL)
    look = fleet.supervisor.end

    def end(*arguments):
        fleet.do("restart", agent)
        return look(*arguments)

    fleet.supervisor.end = end
    fleet.until_ended(agent)
    fleet.supervisor.end = look

    fleet.until(lambda: Agent.objects.get(pk=agent.pk).epoch == 2)


def test_a_paused_agent_that_was_killed_from_outside_waits_to_be_resumed(fleet):
    agent = fleet.running("sleep 60", restart_policy="lost")
    fleet.do("pause", agent)
    fleet.until_state(agent, State.PAUSED)
    os.kill(agent.pid, signal.SIGKILL)
    fleet.until_ended(agent)
    fleet.ahead += fleet.ahead.resolution * 10_000_000

    for _ in range(5):
        fleet.supervisor.tick()
    agent.refresh_from_db()
    assert (agent.state, agent.epoch) == ("lost", 1)

    fleet.do("resume", agent)
    fleet.until(lambda: Agent.objects.get(pk=agent.pk).epoch == 2)


def test_its_token_lives_and_dies_with_it(fleet):
    agent = fleet.running('echo "$SWARMYARD_TOKEN" >../token; echo told; sleep 60')
    fleet.until(lambda: b"told" in fleet.output(agent))
    token = (fleet.base / "token").read_text().strip()

    assert agent_for_token(token).pk == agent.pk
    assert token not in repr(Agent.objects.filter(pk=agent.pk).values())

    fleet.do("kill", agent)
    fleet.until_ended(agent)

    assert agent_for_token(token) is None


def test_the_secrets_of_the_control_plane_are_not_in_its_environment(fleet, monkeypatch):
    for name in ("SECRET_KEY", "DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE", "SWARMYARD_HOST_NAME"):
        monkeypatch.setenv(name, "a-secret-of-the-yard")
    monkeypatch.setenv("GIT_DIR", "/another/repository")
    monkeypatch.setenv("EDITOR", "vi")
    agent = fleet.running("sleep 60")

    environment = environment_of(fleet.processes(agent)[0])

    assert "a-secret-of-the-yard" not in environment.values()
    assert "GIT_DIR" not in environment
    assert environment["EDITOR"] == "vi"
    assert environment["SWARMYARD_AGENT"] == agent.name
    assert environment["SWARMYARD_WORKSPACE"] == agent.workspace_path
    assert environment["SWARMYARD_RUN_DIR"] == str(run_dir(agent))


def test_nothing_but_its_owner_may_look_into_a_run_directory(fleet):
    agent = fleet.running("sleep 60", prompt="my secret plan")

    assert run_dir(agent).stat().st_mode & 0o077 == 0
    assert (run_dir(agent) / "prompt").stat().st_mode & 0o077 == 0


def test_a_flood_of_output_is_capped_and_read_in_bounded_steps(fleet, settings):
    settings.AGENT_LOG_SEGMENT_BYTES = 2_000_000
    agent = fleet.shell("head -c 100000000 /dev/zero | tr '\\0' x; echo; echo last words; exit 6")

    fleet.until_ended(agent, seconds=30)

    assert (agent.exit_code, agent.activity) == (6, "last words")
    assert agent.output_offset == 100_000_012
    assert sum(path.stat().st_size for path in run_dir(agent).glob("out.*")) <= 4_000_000


def test_the_last_line_counts_without_a_newline(fleet):
    agent = fleet.shell("printf 'the very end'")

    fleet.until_ended(agent)

    assert agent.activity == "the very end"


def test_one_whose_files_are_garbage_does_not_keep_the_others(fleet):
    liar = fleet.shell(
        "cd $SWARMYARD_RUN_DIR; echo 9 $(printf %0900d 7) >pid; echo 99999999999999999999 >exit; touch out.x; sleep 60"
    )
    fleet.until(lambda: list(fleet.base.glob("home/runs/*/1/out.x")))
    good = fleet.shell("exit 0")

    fleet.until_ended(good)
    assert good.exit_code == 0

    fleet.do("kill", liar)
    fleet.until_ended(liar)
    assert not fleet.processes()


def test_processes_of_an_epoch_that_is_over_are_ended(fleet):
    agent = fleet.running("sleep 60")
    Agent.objects.filter(pk=agent.pk).update(state=State.LOST)

    fleet.until(lambda: not fleet.processes(agent))


def test_another_home_s_agents_are_left_alone(fleet, settings, tmp_path):
    agent = fleet.running("sleep 60")
    Agent.objects.filter(pk=agent.pk).update(state=State.LOST)
    mine, settings.SWARMYARD_HOME = settings.SWARMYARD_HOME, tmp_path / "another"
    settings.SWARMYARD_HOME.mkdir()

    for _ in range(5):
        fleet.new_supervisor().tick()

    assert procfs.read_process(agent.pid).alive
    settings.SWARMYARD_HOME = mine


def test_pids_of_another_boot_are_not_taken_for_ours(fleet):
    agent = fleet.running("sleep 60")
    Agent.objects.filter(pk=agent.pk).update(boot_id="of-yesterday")
    fleet.new_supervisor()

    fleet.until_ended(agent)

    assert agent.state == "lost"
