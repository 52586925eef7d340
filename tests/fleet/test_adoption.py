"""A runhost may be killed at any line. The next one takes over what is there, and starts nothing twice."""

import os
import subprocess
from pathlib import Path

import pytest
from django.utils import timezone

from apps.fleet import measuring, reaper, supervisor
from apps.fleet.actions import observe
from apps.fleet.launcher import LAUNCH_MARKER, prepare, read_run
from apps.fleet.models import Agent, State
from apps.fleet.places import marker, run_dir

from .launching import eventually
from .supervising import UNTIL_TOLD, kinds

STREAMS = Path(__file__).with_name("streams")


class Killed(BaseException):
    """Stands for `kill -9` of the process that runs the code under test."""


def killed(*arguments, **options):
    raise Killed


def before(owner, name):
    return lambda patch: patch.setattr(owner, name, killed)


def after(owner, name):
    def patched(patch):
        original = getattr(owner, name)

        def run(*arguments, **options):
            original(*arguments, **options)
            raise Killed

        patch.setattr(owner, name, run)

    return patched


def kill_at(fleet, monkeypatch, place, seconds=15.0):
    """Rounds until the code comes by `place`, where it ends; then a supervisor that knows nothing."""
    with monkeypatch.context() as patch:
        place(patch)
        with pytest.raises(Killed):
            fleet.until(lambda: False, seconds)
    fleet.new_supervisor()


def starts(fleet):
    path = fleet.base / "starts"
    return path.read_text().split() if path.exists() else []


def once(fleet, script, **overrides):
    """An agent that leaves a line in `starts` each time it runs."""
    return fleet.shell(f"echo $SWARMYARD_RUN >>{fleet.base}/starts; {script}", **overrides)


WHILE_STARTING = {
    "before the claim": before(observe, "claim_starts"),
    "after the claim": after(observe, "claim_starts"),
    "before the launch": before(supervisor, "launch"),
    "with the order made": after(supervisor, "order_for"),
    "after the launch": after(supervisor, "launch"),
    "before the start is recorded": before(observe, "record_started"),
    "after the start was recorded": after(observe, "record_started"),
}
WHILE_ENDING = {
    "before the output is read to its end": before(measuring.Measuring, "read_output"),
    "before the end is recorded": before(observe, "record_end"),
    "after the end was recorded": after(observe, "record_end"),
}


@pytest.mark.parametrize("place", WHILE_STARTING.values(), ids=WHILE_STARTING)
def test_it_may_be_killed_while_an_agent_starts(fleet, monkeypatch, place):
    agent = once(fleet, "exit 7")

    kill_at(fleet, monkeypatch, place)
    fleet.until_ended(agent)

    assert len(starts(fleet)) == 1
    assert (agent.state, agent.exit_code) == ("failed", 7)
    assert kinds(agent) == ["agent.started", "agent.failed"]


@pytest.mark.parametrize("place", WHILE_STARTING.values(), ids=WHILE_STARTING)
def test_it_may_be_killed_again_and_again_while_agents_start(fleet, monkeypatch, place):
    agents = [once(fleet, f"exit {number}") for number in (11, 12, 13)]

    for _ in range(2):
        kill_at(fleet, monkeypatch, place)
    fleet.until_ended(*agents)

    assert len(starts(fleet)) == 3
    assert [agent.exit_code for agent in agents] == [11, 12, 13]
    assert [kinds(agent) for agent in agents] == [["agent.started", "agent.failed"]] * 3


@pytest.mark.parametrize("place", WHILE_ENDING.values(), ids=WHILE_ENDING)
def test_it_may_be_killed_while_an_end_is_written_down(fleet, monkeypatch, place):
    agent = once(fleet, "echo last words; exit 7")

    kill_at(fleet, monkeypatch, place)
    fleet.until_ended(agent)

    assert len(starts(fleet)) == 1
    assert (agent.state, agent.exit_code, agent.activity) == ("failed", 7, "last words")
    assert kinds(agent) == ["agent.started", "agent.failed"]


def test_a_launch_that_was_prepared_but_never_begun_is_made_good(fleet, monkeypatch):
    agent = once(fleet, "exit 7")

    def prepared(order):
        prepare(order.run_dir, order.segment_bytes)
        raise Killed

    kill_at(fleet, monkeypatch, lambda patch: patch.setattr(supervisor, "launch", prepared))
    fleet.until_ended(agent)

    assert len(starts(fleet)) == 1
    assert (agent.state, agent.exit_code, agent.epoch) == ("failed", 7, 2)
    assert kinds(agent) == ["agent.started", "agent.failed"]


def test_a_start_that_the_database_forgot_is_not_made_again(fleet):
    """It came back from a crash or a backup in which the agent had not started yet."""
    agent = once(fleet, f"{UNTIL_TOLD}; exit 7")
    forgotten = Agent.objects.values().get(pk=agent.pk)
    fleet.until_state(agent, State.BUSY)
    pid = agent.pid

    Agent.objects.filter(pk=agent.pk).update(**forgotten)
    fleet.new_supervisor()
    fleet.until_state(agent, State.BUSY)
    assert agent.pid == pid
    fleet.tell()
    fleet.until_ended(agent)

    assert len(starts(fleet)) == 1
    assert (agent.state, agent.exit_code, agent.epoch) == ("failed", 7, 1)


@pytest.mark.parametrize("place", [before(reaper, "pause"), after(reaper, "pause")], ids=["before", "after"])
def test_it_may_be_killed_while_it_freezes_an_agent(fleet, monkeypatch, place):
    agent = fleet.running("while :; do sleep 0.05; done")
    fleet.do("pause", agent)

    kill_at(fleet, monkeypatch, place)
    fleet.until(lambda: {process.state for process in fleet.processes(agent)} == {"T"})
    fleet.until_state(agent, State.PAUSED)
    fleet.do("resume", agent)
    fleet.until_state(agent, State.BUSY)

    fleet.until(lambda: "T" not in {process.state for process in fleet.processes(agent)})


def test_an_agent_that_was_resumed_before_anybody_looked_again_is_thawed(fleet, monkeypatch):
    agent = fleet.running("while :; do sleep 0.05; done")
    fleet.do("pause", agent)

    kill_at(fleet, monkeypatch, after(reaper, "pause"))
    fleet.do("resume", agent)

    fleet.until(lambda: "T" not in {process.state for process in fleet.processes(agent)})
    fleet.until_state(agent, State.BUSY)


@pytest.mark.parametrize(
    "place",
    [before(reaper, "ask_to_stop"), after(reaper, "ask_to_stop"), before(reaper, "reap_step")],
    ids=["before it is asked", "after it was asked", "before it is killed"],
)
def test_it_may_be_killed_while_it_stops_an_agent(fleet, monkeypatch, place):
    agent = fleet.running("trap 'echo asked' TERM; while :; do sleep 0.05; done")
    fleet.do("stop", agent)

    kill_at(fleet, monkeypatch, place)
    fleet.until_ended(agent)

    assert b"asked" in fleet.output(agent)
    assert (agent.state, agent.exit_code) == ("exited", 137)
    assert not fleet.processes()


def test_it_adopts_what_runs_and_goes_on_measuring_it(fleet):
    agent = fleet.running("sleep 60")
    pid, seen_at = agent.pid, agent.seen_at

    fleet.new_supervisor()
    fleet.until(lambda: Agent.objects.get(pk=agent.pk).seen_at > seen_at)

    agent.refresh_from_db()
    assert (agent.pid, agent.epoch) == (pid, 1)
    assert kinds(agent) == ["agent.started"]


def test_one_that_lived_while_nobody_looked_is_known_to_have_lived_that_long(fleet):
    """By what its launcher wrote: else it would seem to have failed at once."""
    agent = fleet.shell("sleep 1; exit 3")
    fleet.supervisor.tick()
    directory = run_dir(agent, epoch=1)
    eventually(lambda: read_run(directory).exit_code == 3)

    fleet.new_supervisor()
    fleet.until_ended(agent)

    assert 0.9 < (agent.ended_at - agent.first_seen_at).total_seconds() < 20
    assert agent.ended_at <= timezone.now()


def test_agents_that_ended_while_nobody_looked_have_their_exit_status(fleet):
    agents = [fleet.running(f"{UNTIL_TOLD}; exit {code}") for code in (0, 9)]

    fleet.tell()
    for agent in agents:
        eventually(lambda agent=agent: read_run(run_dir(agent)).exit_code is not None)
    fleet.new_supervisor()
    fleet.until_ended(*agents)

    assert [agent.exit_code for agent in agents] == [0, 9]


def test_an_agent_whose_launcher_was_killed_too_is_lost_when_it_ends(fleet):
    agent = fleet.running("sleep 60")
    for pid in fleet.launchers():
        os.kill(pid, 9)

    fleet.new_supervisor()
    fleet.until(lambda: Agent.objects.get(pk=agent.pk).seen_at > agent.seen_at)
    assert len(fleet.processes(agent)) == 2

    os.kill(agent.pid, 9)
    fleet.until_ended(agent)

    assert (agent.state, agent.exit_code) == ("lost", None)
    assert not fleet.processes()


def with_a_result(fleet, settings):
    """An agent that lingers after its final result, which was read."""
    presets = settings.SWARMYARD_HOME / "presets"
    presets.mkdir()
    (presets / "lingering.toml").write_text(
        'argv = ["{command…}"]\nexecutable = "{command}"\nparser = "claude"\nend_on_result = true\n'
    )
    said = '{"type":"result","subtype":"success","is_error":false,"result":"all done"}'
    agent = fleet.running(f"echo '{said}'; while :; do sleep 0.05; done", preset="lingering")
    fleet.until(lambda: fleet.supervisor.watches[agent.pk].result)
    return agent


def test_an_agent_that_was_asked_to_go_by_a_runhost_before_is_done(fleet, settings):
    agent = with_a_result(fleet, settings)

    reaper.ask_to_stop(fleet.supervisor.watches[agent.pk].tree)  # the last thing that runhost did
    fleet.new_supervisor()
    fleet.until_ended(agent)

    assert (agent.state, agent.reason, agent.exit_code) == ("exited", "done", 143)


def test_a_final_result_that_was_read_before_the_kill_still_ends_the_agent(fleet, settings):
    agent = with_a_result(fleet, settings)

    fleet.new_supervisor()
    fleet.until_ended(agent)

    assert (agent.state, agent.reason) == ("exited", "done")
    assert not fleet.processes()


def test_the_tool_s_own_name_for_the_conversation_is_kept(fleet, settings):
    presets = settings.SWARMYARD_HOME / "presets"
    presets.mkdir()
    (presets / "talking.toml").write_text(
        'argv = ["{command…}"]\nexecutable = "{command}"\nparser = "codex"\n'
    )
    agent = fleet.running(
        'echo \'{"type":"thread.started","thread_id":"abc-1"}\'; sleep 60', preset="talking"
    )
    fleet.until(lambda: Agent.objects.get(pk=agent.pk).session_id == "abc-1")

    fleet.new_supervisor()
    fleet.do("kill", agent)
    fleet.until_ended(agent)

    assert agent.session_id == "abc-1"


def used(agent):
    agent.refresh_from_db()
    return agent.tokens_in, agent.tokens_out, agent.cache_read, agent.cost_usd


@pytest.mark.parametrize(
    ("stream", "parser"),
    [("claude-code.jsonl", "claude"), ("codex.jsonl", "codex"), ("opencode.jsonl", "opencode")],
)
def test_what_the_starts_of_an_agent_used_adds_up(fleet, settings, monkeypatch, stream, parser):
    presets = settings.SWARMYARD_HOME / "presets"
    presets.mkdir()
    (presets / "recorded.toml").write_text(
        f'argv = ["{{command…}}"]\nexecutable = "{{command}}"\nparser = "{parser}"\n'
    )
    agent = fleet.agent("cat", str(STREAMS / stream), preset="recorded")
    fleet.until_ended(agent)
    tokens_in, tokens_out, cache_read, cost = used(agent)
    assert tokens_in > 0 < tokens_out

    fleet.do("restart", agent)
    kill_at(fleet, monkeypatch, before(supervisor, "launch"))
    kill_at(fleet, monkeypatch, before(observe, "record_end"))
    fleet.until_ended(agent)

    assert agent.epoch == 2
    twice = (2 * tokens_in, 2 * tokens_out, 2 * cache_read)
    assert used(agent) == (*twice, cost and pytest.approx(2 * cost))


def test_what_is_left_of_a_launcher_is_ended_too(fleet):
    """One that was just starting its next tool when it was killed."""
    agent = fleet.shell("exit 0")
    fleet.until_ended(agent)
    environment = {**os.environ, LAUNCH_MARKER: marker(agent)}
    left = subprocess.Popen(["sleep", "60"], env=environment, start_new_session=True)

    try:
        fleet.until(lambda: left.poll() is not None)
    finally:
        left.kill()
        left.wait()
