"""Which agents of a wave are prepared and let start, and when it is over: pure decisions, over many waves."""

from hypothesis import given
from hypothesis import strategies as st

from apps.fleet.models import State
from apps.waves.domain.stepping import (
    GATE_FAILURES,
    PREPARE_AHEAD,
    Place,
    current_step,
    final_state,
    outcome,
    steps_of,
    to_prepare,
    to_release,
)

UNSTARTED, ENDED = {"planned", "preparing", "ready"}, {"exited", "failed", "lost"}


@st.composite
def waves(draw):
    """Members in order, in steps of some size, each in any state it can be in."""
    size = draw(st.integers(0, 7))
    places = []
    for pk, step in enumerate(steps_of(draw(st.integers(0, 30)), size), start=1):
        state = draw(st.sampled_from(State.values))
        released = draw(st.booleans()) if state in {"ready", *ENDED} else state not in UNSTARTED
        seen = draw(st.booleans()) if state not in UNSTARTED else False
        returning = state in ENDED and draw(st.booleans())
        asked, fell = draw(st.booleans()), seen and draw(st.booleans())
        places.append(Place(pk, step, state, released, seen, returning, asked, fell))
    return places


passes = st.integers(0, 6)
since = st.none() | st.floats(0, 1000)


def wave(*steps, **marks):
    """`wave("rr", "pp")`: a step of two that are ready, one of two that are planned.

    p planned, P preparing, r ready, R ready and released, s starting, b busy (seen), x exited, f failed before it
    was seen, F failed after, l lost before it was seen.
    """
    kinds = {
        "p": ("planned", False, False),
        "P": ("preparing", False, False),
        "r": ("ready", False, False),
        "R": ("ready", True, False),
        "s": ("starting", True, False),
        "b": ("busy", True, True),
        "x": ("exited", True, True),
        "f": ("failed", True, False),
        "F": ("failed", True, True),
        "l": ("lost", True, False),
    }
    letters = [(letter, number) for number, step in enumerate(steps) for letter in step]
    return [Place(pk, step, *kinds[letter]) for pk, (letter, step) in enumerate(letters, start=1)]


def released(places, since_step_ms=None, pause_ms=0, gate_passed=0):
    return to_release(places, since_step_ms=since_step_ms, pause_ms=pause_ms, gate_passed=gate_passed)


@given(waves(), since, st.integers(0, 500), passes)
def test_only_ready_members_of_one_step_are_let_start(places, since_ms, pause_ms, passed):
    decision = to_release(places, since_step_ms=since_ms, pause_ms=pause_ms, gate_passed=passed)

    chosen = [place for place in places if place.pk in decision.release]
    assert all(place.state == "ready" and not place.released for place in chosen)
    assert len({place.step for place in chosen}) <= 1
    assert [place.pk for place in chosen] == decision.release  # in their order
    if chosen:
        assert chosen[0].step == current_step(places)


@given(waves(), since, st.integers(0, 500), passes)
def test_a_step_begins_only_when_all_before_it_have_settled(places, since_ms, pause_ms, passed):
    decision = to_release(places, since_step_ms=since_ms, pause_ms=pause_ms, gate_passed=passed)

    step = current_step(places)
    begun = any(place.step == step and (place.released or place.state not in UNSTARTED) for place in places)
    if decision.release and not begun:
        before = [place for place in places if place.step < step]
        assert all(place.seen or place.state in ENDED for place in before)
        assert since_ms is None or since_ms >= pause_ms


@given(waves(), since, passes)
def test_a_step_after_a_sick_one_does_not_begin_unasked(places, since_ms, passed):
    decision = to_release(places, since_step_ms=since_ms, pause_ms=0, gate_passed=passed)

    step = current_step(places)
    last = [place for place in places if step is not None and place.step == step - 1]
    ill = [
        place
        for place in last
        if place.state in {"failed", "lost"} and (place.fell_at_once or not place.seen)
    ]
    begun = any(place.step == step and (place.released or place.state not in UNSTARTED) for place in places)
    if last and len(ill) / len(last) > GATE_FAILURES and not begun and step > passed:
        assert decision.pause
        assert not decision.release


@given(waves(), since, st.integers(0, 500), passes)
def test_a_wave_with_members_to_start_releases_pauses_or_says_what_it_waits_for(
    places, since_ms, pause_ms, passed
):
    decision = to_release(places, since_step_ms=since_ms, pause_ms=pause_ms, gate_passed=passed)

    if current_step(places) is None:
        assert decision.release == []
        assert decision.waiting_for == ""
    else:
        assert bool(decision.release) + bool(decision.pause) + bool(decision.waiting_for) == 1


@given(waves(), st.integers(0, 7))
def test_only_planned_members_are_prepared_in_order_and_not_too_far_ahead(places, step_size):
    chosen = to_prepare(places, step_size)

    planned = [place.pk for place in places if place.state == "planned"]
    assert chosen == planned[: len(chosen)]
    ahead = [place for place in places if place.state in {"preparing", "ready"} and not place.released]
    assert len(chosen) + len(ahead) <= max(PREPARE_AHEAD, 2 * step_size, len(ahead))


@given(waves(), st.booleans())
def test_a_wave_is_over_when_every_member_is(places, aborting):
    state = final_state(places, aborting=aborting)

    over = all(place.state in ENDED and not place.returning for place in places)
    assert bool(state) == over
    if state:
        assert (state == "aborted") == aborting
        assert state in {"aborted", "done", "failed"}


@given(st.integers(0, 200), st.integers(0, 50), st.integers(0, 5))
def test_members_are_dealt_to_steps_in_order(count, size, first):
    steps = steps_of(count, size, first=first)

    assert len(steps) == count
    assert steps == sorted(steps)
    assert not steps or steps[0] == first
    assert set(steps) == set(range(first, first + len(set(steps))))
    assert all(steps.count(step) <= (size or count) for step in set(steps))


def test_the_first_step_starts_at_once():
    assert released(wave("rr", "rr")).release == [1, 2]


def test_a_step_starts_what_is_ready_of_it():
    assert released(wave("rP", "rr")).release == [1]
    assert released(wave("PP", "rr")).waiting_for == "workspaces being prepared"


def test_the_next_step_waits_for_the_one_before_to_come_up():
    assert released(wave("bs", "rr")).waiting_for == "step 1 to come up"
    assert released(wave("bR", "rr")).waiting_for == "step 1 to come up"
    assert released(wave("bb", "rr")).release == [3, 4]
    assert released(wave("bx", "rr")).release == [3, 4]


def test_the_pause_between_steps_is_kept():
    assert released(wave("bb", "rr"), since_step_ms=9.9, pause_ms=10).waiting_for == "the pause between steps"
    assert released(wave("bb", "rr"), since_step_ms=10.0, pause_ms=10).release == [3, 4]


def test_a_step_that_has_begun_goes_on_without_a_pause_or_a_gate():
    assert released(wave("ff", "br"), since_step_ms=0.0, pause_ms=10).release == [4]


def test_a_sick_step_pauses_the_wave():
    assert "2 of 3 agents never came up or failed at once" in released(wave("ffb", "rrr")).pause
    assert "2 of 2 agents never came up" in released(wave("fl", "rr")).pause
    assert released(wave("fb", "rr")).release == [3, 4]  # half of them is bearable


def test_agents_that_came_up_and_failed_later_are_no_sickness_of_their_step():
    assert released(wave("FF", "rr")).release == [3, 4]


def test_a_person_can_let_the_next_step_through():
    assert released(wave("ff", "rr"), gate_passed=1).release == [3, 4]
    assert "step 2" in released(wave("ff", "ff", "rr"), gate_passed=1).pause


@given(waves())
def test_every_member_that_ended_is_counted_once(places):
    counts = outcome(places)

    ended = [place for place in places if place.state in ENDED]
    assert counts.well + counts.stopped + counts.failed + counts.lost == len(ended)


def test_a_wave_is_done_unless_more_failed_than_ended_well():
    assert final_state(wave("xF"), aborting=False) == "done"
    assert final_state(wave("xFl"), aborting=False) == "failed"
    assert final_state(wave("FF"), aborting=False) == "failed"
    assert final_state(wave("xb"), aborting=False) == ""
    assert final_state(wave("xx"), aborting=True) == "aborted"


def test_one_that_comes_back_keeps_the_wave_open():
    lost = Place(1, 0, "lost", True, True, returning=True)

    assert final_state([lost], aborting=False) == ""
