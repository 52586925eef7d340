"""What is done about an agent, over every combination of what may be wanted and seen."""

from itertools import product

import pytest

from apps.fleet.domain.lifecycle import (
    STARTING_LIMIT,
    Ending,
    Seen,
    Step,
    Wanted,
    ending,
    next_step,
    restart_delay,
)
from apps.fleet.models import ENDED, LIVE, Desired, State

GRACE = 10.0
WANTED = [
    Wanted(str(desired), str(state), since_stop, since_launch, GRACE)
    for desired, state, since_stop, since_launch in product(
        Desired.values, State.values, (None, 0.0, GRACE - 0.1, GRACE), (None, 1.0, STARTING_LIMIT + 1)
    )
]
SEEN = [
    Seen(launched, exited, alive, left, frozen, launcher)
    for launched, exited, alive, left, frozen, launcher in product(
        (False, True), (False, True), (False, True), (0, 2), (False, True), (False, True)
    )
    # What lives was launched and is itself one of those left; only those that are left can be frozen.
    if (not alive or (launched and left)) and (left or not frozen)
]
EVERYTHING = [(wanted, seen, next_step(wanted, seen)) for wanted, seen in product(WANTED, SEEN)]


def cases(**conditions):
    """The steps of all combinations that meet the conditions, by names of fields of Wanted and Seen."""

    def meets(wanted, seen):
        for name, expected in conditions.items():
            value = getattr(wanted if hasattr(wanted, name) else seen, name)
            if value not in (expected if isinstance(expected, tuple) else (expected,)):
                return False
        return True

    found = [case for case in EVERYTHING if meets(*case[:2])]
    assert found
    return found


def steps(**conditions):
    return {step for _, _, step in cases(**conditions)}


def states_with(step):
    return {wanted.state for wanted, _, found in EVERYTHING if found == step}


def test_what_never_started_or_has_ended_is_left_alone():
    assert steps(state=("planned", "preparing", *map(str, ENDED))) == {Step.NOTHING}


def test_only_an_agent_that_is_wanted_is_started():
    started = [(wanted, seen) for wanted, seen, step in EVERYTHING if step == Step.START]

    assert {wanted.desired for wanted, _ in started} == {"running", "paused"}
    assert {wanted.desired for wanted, _ in started if wanted.state == "ready"} == {"running"}
    assert steps(state="ready", desired="running") == {Step.START}


def test_nothing_is_started_while_something_of_it_may_be_there():
    for wanted, seen, step in EVERYTHING:
        if step == Step.START and wanted.state != "ready":
            assert wanted.state == "starting"
            assert not seen.launched
            assert not seen.exited
            assert not seen.left
            assert not seen.launcher


@pytest.mark.parametrize("state", list(LIVE))
def test_killed_means_destroyed_for_whatever_lives(state):
    assert steps(desired="killed", state=str(state), launched=True, alive=True, exited=False) == {
        Step.DESTROY
    }


def test_its_end_is_written_only_when_nothing_of_it_is_left():
    for wanted, seen, step in EVERYTHING:
        if step == Step.END:
            assert wanted.state in LIVE
            assert seen.left == 0
            assert not seen.alive


def test_its_end_waits_for_the_exit_status_that_is_still_to_come():
    assert steps(
        state=("busy", "idle", "waiting", "paused", "stopping"),
        exited=False,
        alive=False,
        left=0,
        launcher=True,
    ) == {Step.NOTHING}


def test_every_agent_that_is_gone_is_brought_to_its_end():
    live = tuple(map(str, LIVE))
    assert steps(state=live, launched=True, alive=False, left=0, launcher=False) == {Step.END}
    assert steps(state=live, launched=True, alive=False, left=2) == {Step.REAP}


def test_signals_go_only_to_what_lives():
    for _, seen, step in EVERYTHING:
        if step in (Step.FREEZE, Step.THAW, Step.TERMINATE, Step.ADOPT):
            assert seen.alive
            assert not seen.exited


def test_a_start_is_on_record_before_anything_but_a_kill_is_done_about_it():
    assert steps(
        state="starting", alive=True, exited=False, desired=("held", "running", "paused", "stopped")
    ) == {Step.ADOPT}


def test_pausing_ends_frozen_and_known_as_paused():
    live = {"alive": True, "exited": False, "desired": "paused"}
    assert steps(**live, state=("busy", "idle", "waiting"), frozen=(True, False)) == {Step.FREEZE}
    assert steps(**live, state="paused", frozen=False) == {Step.FREEZE}
    assert steps(**live, state="paused", frozen=True) == {Step.NOTHING}


def test_a_paused_agent_is_thawed_when_it_is_wanted_again():
    assert steps(alive=True, exited=False, desired="running", state="paused") == {Step.THAW}
    assert states_with(Step.THAW) == {"paused"}


def test_a_stop_asks_first_and_ends_it_after_the_grace():
    live = {"alive": True, "exited": False, "desired": "stopped"}
    assert steps(**live, state=("busy", "idle", "waiting", "paused")) == {Step.TERMINATE}
    assert steps(**live, state="stopping", seconds_since_stop=(0.0, GRACE - 0.1)) == {Step.NOTHING}
    assert steps(**live, state="stopping", seconds_since_stop=GRACE) == {Step.DESTROY}


def test_a_launcher_that_never_writes_a_pid_is_ended_after_its_time():
    starting = {"state": "starting", "launched": False, "launcher": True, "exited": False}
    not_killed = {"desired": ("held", "running", "paused", "stopped")}
    assert steps(**starting, **not_killed, seconds_since_launch=(None, 1.0)) == {Step.NOTHING}
    assert steps(**starting, seconds_since_launch=STARTING_LIMIT + 1) == {Step.ABANDON}


def test_a_kill_does_not_wait_for_a_pid():
    starting = {"state": "starting", "launched": False, "exited": False, "seconds_since_launch": 1.0}
    assert steps(**starting, left=2, desired="killed") == {Step.DESTROY}
    assert steps(**starting, launcher=True, desired="killed") == {Step.DESTROY}
    assert steps(**starting, left=2, desired=("running", "paused", "stopped")) == {Step.NOTHING}


def test_an_agent_that_runs_as_wanted_is_left_in_peace():
    assert steps(
        desired="running", state=("busy", "idle", "waiting"), alive=True, exited=False, frozen=(True, False)
    ) == {Step.NOTHING}


@pytest.mark.parametrize(
    ("code", "asked", "error", "state", "reason"),
    [
        (0, False, "", "exited", "done"),
        (0, False, "out of credit", "failed", "out of credit"),
        (1, False, "", "failed", "exit 1"),
        (1, False, "out of credit", "failed", "exit 1: out of credit"),
        (145, False, "invalid key", "failed", "exit 145: invalid key"),
        (145, False, "", "failed", "exit 145"),
        (137, False, "out of credit", "failed", "exit 137: out of credit"),
        (126, False, "", "failed", "could not be started"),
        (127, False, "", "failed", "could not be started"),
        (128, False, "", "failed", "exit 128"),
        (129, False, "", "lost", "signal 1 "),
        (137, False, "", "lost", "signal 9 "),
        (143, False, "", "lost", "signal 15 "),
        (192, False, "", "lost", "signal 64 "),
        (193, False, "", "failed", "exit 193"),
        (255, False, "", "failed", "exit 255"),
        (None, False, "", "lost", "vanished"),
        (None, True, "", "exited", "on request"),
        (0, True, "", "exited", "on request"),
        (137, True, "", "exited", "on request"),
    ],
)
def test_how_it_ended_is_told_by_its_exit_status(code, asked, error, state, reason):
    told = ending(exit_code=code, asked=asked, result_error=error)

    assert told.state == state
    assert reason in told.reason


def test_a_failure_without_a_result_tells_the_last_words():
    told = ending(exit_code=41, asked=False, last_words="Please set an Auth method")

    assert told == Ending("failed", "exit 41, last: Please set an Auth method")


def test_every_exit_status_has_an_ending_for_people():
    for code in (None, *range(256)):
        told = ending(exit_code=code, asked=False)
        assert isinstance(told, Ending)
        assert told.state in map(str, ENDED)
        assert told.reason
        assert (told.state == "exited") == (code == 0)


@pytest.mark.parametrize("policy", ["never", "lost", "failure"])
@pytest.mark.parametrize("state", ["exited", "failed", "lost"])
def test_it_is_started_again_only_by_its_policy(policy, state):
    again = restart_delay(policy=policy, state=state, restarts=0, limit=3) is not None

    assert again == ((policy, state) in {("lost", "lost"), ("failure", "lost"), ("failure", "failed")})


def test_each_restart_waits_longer_and_the_last_is_final():
    delays = [restart_delay(policy="lost", state="lost", restarts=n, limit=3) for n in range(5)]

    assert delays == [1.0, 2.0, 4.0, None, None]
