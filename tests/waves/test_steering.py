"""Pausing, resuming, aborting, scaling and retrying waves: who may, when it makes sense, and what it does."""

import pytest

from apps.access.exceptions import NotAllowed
from apps.events.models import Event
from apps.fleet.actions import operate
from apps.fleet.models import Agent, Desired, State
from apps.waves.exceptions import WaveRefused
from apps.waves.models import Wave, WaveState

from .starting import OPERATOR, VIEWER

VERBS = ["pause", "resume", "abort", "scale", "retry"]
ALLOWED = {
    "pause": {"running"},
    "resume": {"paused"},
    "abort": {"running", "paused"},
    "scale": {"running", "paused", "aborted", "done", "failed"},
    "retry": {"running", "paused", "aborted", "done", "failed"},
}


@pytest.mark.parametrize("state", WaveState.values)
@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_is_refused_where_it_makes_no_sense(waves, verb, state):
    wave = waves.start()
    waves.agents(wave).update(state=State.FAILED)
    Wave.objects.filter(pk=wave.pk).update(state=state)
    events = Event.objects.count()

    if state in ALLOWED[verb]:
        waves.do(verb, wave)
        assert Event.objects.count() > events
        return

    with pytest.raises(WaveRefused, match=f"w1 is {state}: it can't be "):
        waves.do(verb, wave)
    wave.refresh_from_db()
    assert wave.state == state
    assert Event.objects.count() == events


@pytest.mark.parametrize("verb", VERBS)
def test_a_viewer_may_not(waves, verb):
    wave = waves.running()
    before = (wave.state, list(waves.agents(wave).values_list("desired", flat=True)), Event.objects.count())

    with pytest.raises(NotAllowed, match="vera is a viewer"):
        waves.do(verb, wave, actor=VIEWER)

    wave.refresh_from_db()
    assert before == (
        wave.state,
        list(waves.agents(wave).values_list("desired", flat=True)),
        Event.objects.count(),
    )


@pytest.mark.parametrize(
    ("verb", "kind"),
    [("pause", "paused"), ("abort", "aborted"), ("scale", "scaled"), ("retry", "retried")],
)
def test_the_event_names_the_actor(waves, verb, kind):
    wave = waves.running()
    waves.agents(wave).filter(name__endswith="1").update(state=State.FAILED)

    waves.do(verb, wave)

    event = Event.objects.get(kind=f"wave.{kind}")
    assert (event.actor_kind, event.actor, event.subject) == ("user", "olga", "w1")


def test_a_page_that_is_out_of_date_changes_nothing(waves):
    wave = waves.running()
    stale = Wave.objects.get(pk=wave.pk)
    waves.do("abort", wave)

    with pytest.raises(WaveRefused, match="aborting"):
        waves.do("pause", stale)


# pause and resume


def test_pausing_freezes_what_runs_and_holds_what_has_not_started(waves):
    wave = waves.start(step_size=2)
    waves.make_ready(wave)
    waves.agents(wave).filter(name="w1/agent-01").update(state=State.BUSY, first_seen_at=waves.now())

    waves.do("pause", wave)
    waves.tick(wave)

    assert list(waves.agents(wave).order_by("pk").values_list("state", "desired")) == [
        ("busy", "paused"),
        ("ready", "held"),
        ("ready", "held"),
        ("ready", "held"),
    ]
    assert (wave.state, wave.reason) == ("paused", "by olga")


def test_resuming_thaws_it_and_goes_on(waves):
    wave = waves.start(step_size=2)
    waves.come_up(waves.make_ready(wave))
    waves.do("pause", wave)

    waves.do("resume", wave)
    waves.tick(wave)

    assert set(waves.agents(wave).live().values_list("desired", flat=True)) == {"running"}
    assert waves.agents(wave).filter(desired="running").count() == 4
    assert (wave.state, wave.reason) == ("running", "")


def test_one_that_would_have_come_back_waits_while_its_wave_is_paused(waves):
    wave = waves.running()
    agent = waves.agents(wave).first()
    Agent.objects.filter(pk=agent.pk).update(state=State.LOST, restart_at=waves.now())

    waves.do("pause", wave)
    agent.refresh_from_db()
    assert agent.desired == Desired.PAUSED

    waves.do("resume", wave)
    agent.refresh_from_db()
    assert (agent.desired, agent.is_returning) == (Desired.RUNNING, True)


def test_a_paused_wave_whose_agents_all_ended_is_over(waves):
    wave = waves.running()
    waves.do("pause", wave)

    assert waves.ended(wave).state == "done"


# abort


def test_aborting_withdraws_what_has_not_started_and_stops_what_runs(waves):
    wave = waves.start(agents=5, step_size=2)
    waves.come_up(waves.make_ready(wave))
    waves.agents(wave).filter(name="w1/agent-05").update(state=State.PLANNED)

    waves.do("abort", wave)

    assert waves.states(wave) == ["busy busy", "exited exited", "exited"]
    live = waves.agents(wave).live()
    assert set(live.values_list("desired", flat=True)) == {"stopped"}
    assert live.filter(stop_requested_at=None).count() == 0
    assert wave.state == "aborting"
    assert waves.tick(wave).state == "aborting"
    assert waves.ended(wave).state == "aborted"
    assert waves.kinds(wave) == ["wave.started", "wave.aborted", "wave.aborted"]


def test_a_wave_that_never_started_anything_is_aborted_at_once(waves):
    wave = waves.start()

    waves.do("abort", wave)

    assert waves.tick(wave).state == "aborted"


def test_a_kill_is_not_made_milder_by_an_abort(waves):
    wave = waves.running()
    killed = waves.agents(wave).first()
    operate.kill(agent=killed, actor=OPERATOR, now=waves.now())
    asked_at = killed.stop_requested_at

    waves.do("abort", wave)

    killed.refresh_from_db()
    assert (killed.desired, killed.stop_requested_at) == (Desired.KILLED, asked_at)


def test_nothing_comes_back_in_an_aborted_wave(waves):
    wave = waves.running()
    lost, restarted = waves.agents(wave).order_by("pk")[:2]
    Agent.objects.filter(pk=lost.pk).update(state=State.LOST, restart_at=waves.now())
    operate.restart(agent=_with_workspace(restarted), actor=OPERATOR, now=waves.now())

    waves.do("abort", wave)

    assert not waves.agents(wave).exclude(restart_at=None).exists()


def test_what_slipped_through_an_abort_is_ended_by_the_next_round(waves):
    """An agent that came back in the moment between two statements of the abort."""
    wave = waves.running()
    waves.do("abort", wave)
    waves.agents(wave).filter(name="w1/agent-01").update(state=State.READY, desired=Desired.RUNNING)
    waves.agents(wave).filter(name="w1/agent-02").update(desired=Desired.RUNNING)

    waves.tick(wave)

    assert set(waves.agents(wave).live().values_list("desired", flat=True)) == {"stopped"}
    assert waves.agents(wave).get(name="w1/agent-01").state == State.EXITED


# scale


def test_scaling_up_adds_further_steps(waves):
    wave = waves.running(agents=3, step_size=2)

    waves.do("scale", wave, size=6)

    assert [step.split()[0] for step in waves.states(wave)] == ["busy", "ready", "planned", "planned"]
    assert list(wave.members.values_list("number", "step"))[3:] == [(4, 2), (5, 2), (6, 3)]
    assert wave.size == 6
    assert "3 → 6 agents" in Event.objects.get(kind="wave.scaled").text


@pytest.mark.parametrize("state", ["done", "failed", "aborted"])
def test_scaling_up_opens_a_wave_again_that_was_over(waves, state):
    wave = waves.running()
    Wave.objects.filter(pk=wave.pk).update(state=state, ended_at=waves.now())

    waves.do("scale", wave, size=5)

    assert (wave.state, wave.ended_at) == ("running", None)


def test_scaling_down_takes_those_first_that_have_not_started_then_the_newest(waves):
    wave = waves.start(agents=6, step_size=3)
    waves.come_up(waves.make_ready(wave))
    waves.agents(wave).filter(member__step=1).update(state=State.READY, desired=Desired.HELD)

    waves.do("scale", wave, size=2)

    assert waves.states(wave) == ["busy busy busy", "exited exited exited"]
    stopped = waves.agents(wave).filter(desired="stopped", state=State.BUSY)
    assert list(stopped.values_list("name", flat=True)) == ["w1/agent-03"]


def test_scaling_down_twice_does_not_count_those_on_their_way_out(waves):
    wave = waves.running(agents=6)

    waves.do("scale", wave, size=5)
    waves.do("scale", wave, size=3)

    assert waves.agents(wave).filter(desired="stopped").count() == 3


def test_numbers_are_not_given_again_after_scaling_down_and_up(waves):
    wave = waves.running(agents=3)
    waves.do("scale", wave, size=1)

    waves.do("scale", wave, size=3)

    assert list(wave.members.values_list("number", flat=True)) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("size", [0, -1, 100_001])
def test_a_size_out_of_range_is_refused(waves, size):
    wave = waves.start()

    with pytest.raises(WaveRefused, match="give 1 to 10000"):
        waves.do("scale", wave, size=size)
    wave.refresh_from_db()
    assert wave.size == 4


# retry


def test_retrying_starts_failed_and_lost_ones_again(waves):
    wave = waves.running(agents=4)
    for name, state in (("1", "failed"), ("2", "lost"), ("3", "exited")):
        waves.agents(wave).filter(name__endswith=name).update(state=state, exit_code=1, ended_at=waves.now())

    assert waves.do("retry", wave) == 2

    agents = list(waves.agents(wave).order_by("pk").values_list("state", "desired", "exit_code"))
    assert agents[:3] == [("ready", "held", None), ("ready", "held", None), ("exited", "running", 1)]
    waves.tick(wave)
    assert waves.agents(wave).filter(state="ready", desired="running").count() == 2


def test_one_that_never_got_a_workspace_is_prepared_again(waves):
    wave = waves.start(agents=1)
    waves.agents(wave).update(state=State.FAILED, workspace_path="")
    waves.tick(wave)
    assert wave.state == "failed"

    waves.do("retry", wave)

    wave.refresh_from_db()
    assert (wave.state, wave.ended_at, waves.states(wave)) == ("running", None, ["planned"])


def test_retrying_a_paused_wave_leaves_it_paused(waves):
    wave = waves.running()
    waves.do("pause", wave)
    waves.agents(wave).filter(name__endswith="1").update(state=State.FAILED)

    waves.do("retry", wave)
    waves.tick(wave)

    assert wave.state == "paused"
    assert waves.agents(wave).get(name__endswith="1").desired == Desired.HELD
    assert "when it is resumed" in Event.objects.get(kind="wave.retried").text

    waves.do("resume", wave)
    waves.tick(wave)
    assert waves.agents(wave).get(name__endswith="1").desired == Desired.RUNNING


def test_with_nothing_to_retry_it_is_refused(waves):
    wave = waves.running()

    with pytest.raises(WaveRefused, match="nothing to retry"):
        waves.do("retry", wave)


def _with_workspace(agent):
    Agent.objects.filter(pk=agent.pk).update(workspace_path="/workspace")
    agent.refresh_from_db()
    return agent
