from hypothesis import given
from hypothesis import strategies as st

from apps.fleet.domain.outcome import outcome_of
from apps.fleet.models import Desired, State
from apps.waves.domain.progress import progress_of


@given(st.dictionaries(st.sampled_from([*State.values, "stopped"]), st.integers(0, 1000)))
def test_every_member_is_counted_once(states):
    progress = progress_of(states)

    assert progress.total == sum(states.values())
    assert (
        progress.live + progress.ended + progress.planned + progress.preparing + progress.ready
        == progress.total
    )


@given(st.sampled_from(State.values), st.sampled_from(Desired.values))
def test_only_who_exited_after_being_asked_to_was_stopped(state, desired):
    stopped = outcome_of(state, desired) == "stopped"

    assert stopped == (state == "exited" and desired in ("stopped", "killed"))
    assert stopped or outcome_of(state, desired) == state


def test_who_was_stopped_has_ended_but_not_well():
    progress = progress_of({"exited": 2, "stopped": 3, "failed": 1})

    assert (progress.exited, progress.stopped, progress.ended, progress.total) == (2, 3, 6, 6)


def test_those_at_work_are_running_whatever_they_do():
    progress = progress_of({"busy": 3, "idle": 2, "stopping": 1, "waiting": 4, "paused": 5, "starting": 6})

    assert (progress.running, progress.waiting, progress.paused, progress.starting) == (6, 4, 5, 6)
    assert progress.live == 21


def test_the_time_left_is_told_once_two_have_ended():
    assert progress_of({"busy": 8, "exited": 1}, elapsed=60.0).eta_seconds is None
    assert progress_of({"busy": 8, "exited": 1, "failed": 1}, elapsed=60.0).eta_seconds == 240.0
    assert progress_of({"exited": 10}, elapsed=60.0).eta_seconds is None
    assert progress_of({"busy": 8, "exited": 2}).eta_seconds is None
