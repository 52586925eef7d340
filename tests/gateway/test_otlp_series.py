"""What came on top of a series: counted once, whatever comes again, late or anew."""

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.gateway.otlp.series import (
    MAX_SERIES,
    QUIET_SECONDS,
    Memory,
    Reading,
    TooManySeries,
    increase,
    memory_of,
)
from apps.gateway.otlp.spread import NoSpread, Spread, difference, of_buckets, of_exponential, sketch_of

NOW = 1_800_000_000.0


def added(
    memory: Memory, temporality, *points: tuple[int, float], series: bytes = b"s"
) -> list[float | None]:
    found = [increase(memory, series, temporality, time, Reading(amount), NOW) for time, amount in points]
    return [new.amount if new is not None else None for new in found]


def test_a_running_total_counts_what_came_on_top():
    assert added(Memory(), "cumulative", (1, 10.0), (2, 25.0), (3, 25.0)) == [10.0, 15.0, 0.0]


def test_a_running_total_that_comes_again_adds_nothing():
    assert added(Memory(), "cumulative", (1, 10.0), (1, 10.0), (2, 15.0), (2, 15.0)) == [10.0, 0.0, 5.0, 0.0]


def test_a_running_total_that_was_overtaken_adds_nothing():
    assert added(Memory(), "cumulative", (2, 15.0), (1, 10.0), (3, 20.0)) == [15.0, None, 5.0]


def test_a_running_total_that_fell_began_anew():
    assert added(Memory(), "cumulative", (1, 10.0), (2, 3.0), (3, 4.0)) == [10.0, 3.0, 1.0]


def test_deltas_add_up_and_count_once():
    assert added(Memory(), "delta", (1, 10.0), (2, 5.0), (1, 10.0), (2, 5.0), (3, 1.0)) == [
        10.0,
        5.0,
        None,
        None,
        1.0,
    ]


def test_deltas_without_a_time_cannot_be_told_apart():
    assert added(Memory(), "delta", (0, 10.0), (0, 10.0)) == [10.0, 10.0]


def test_a_clock_that_is_put_back_loses_no_delta():
    assert added(Memory(), "delta", (10**18, 1.0), (5 * 10**17, 2.0)) == [1.0, 2.0]


def test_what_stands_somewhere_is_taken_as_it_is():
    assert added(Memory(), "now", (1, 10.0), (1, 7.0)) == [10.0, 7.0]


def test_a_memory_outlives_the_process():
    memory = Memory()
    added(memory, "cumulative", (1, 10.0))
    added(memory, "delta", (1, 10.0), series=b"d")
    again = memory_of(memory.encoded())
    assert added(again, "cumulative", (2, 12.0)) == [2.0]
    assert added(again, "delta", (1, 10.0), series=b"d") == [None]


def test_series_are_bounded_and_silent_ones_make_room():
    memory = Memory()
    for number in range(MAX_SERIES):
        increase(memory, str(number).encode(), "delta", 1, Reading(1.0), NOW)
    with pytest.raises(TooManySeries):
        increase(memory, b"one more", "delta", 1, Reading(1.0), NOW + QUIET_SECONDS)
    assert increase(memory, b"0", "delta", 2, Reading(1.0), NOW + QUIET_SECONDS) is not None
    assert increase(memory, b"one more", "delta", 1, Reading(1.0), NOW + QUIET_SECONDS + 1) is not None
    assert len(memory.series) == 2


def test_a_histogram_counts_the_values_that_came_on_top():
    memory = Memory()
    increase(memory, b"h", "cumulative", 1, Reading(30.0, 3, {5.0: 2, 20.0: 1}), NOW)
    new = increase(memory, b"h", "cumulative", 2, Reading(75.0, 6, {5.0: 3, 20.0: 3}), NOW)
    assert new == Reading(45.0, 3, {5.0: 1, 20.0: 2})


def test_buckets_stand_for_their_middle():
    assert of_buckets([0.0, 10.0, 20.0], [1, 2, 0, 4]) == {0.0: 1, 5.0: 2, 20.0: 4}
    assert of_buckets([], [5]) == {}
    assert of_buckets([10.0], []) == {}


def test_powers_of_two_are_buckets_too():
    found = of_exponential(0, 2, 3, [1, 0, 4])
    assert found == {0.0: 2, 2**3.5: 1, 2**5.5: 4}


@pytest.mark.parametrize("scale", [-20, 0, 30])
@pytest.mark.parametrize("offset", [-(2**31), 0, 2**31 - 1])
def test_buckets_far_out_are_bounded(scale, offset):
    [value] = of_exponential(scale, 0, offset, [1])
    assert sketch_of({value: 1}).count == 1


@pytest.mark.parametrize(
    ("bounds", "counts"),
    [
        ([1.0, 2.0], [1, 1]),
        ([2.0, 1.0], [1, 1, 1]),
        ([float("nan")], [1, 1]),
        ([1.0, float("inf")], [1, 1, 1]),
        ([-5.0, 5.0], [1, 0, 0]),
        (list(range(400)), [1] * 401),
        ([1.0], [2**63, 0]),
    ],
)
def test_histograms_that_cannot_be_summarised_are_refused(bounds, counts):
    with pytest.raises(NoSpread):
        of_buckets(bounds, counts)


SPREADS = st.dictionaries(st.floats(0, 1e6), st.integers(1, 1000), max_size=20)


@given(before=SPREADS, more=SPREADS)
def test_a_difference_is_what_was_added(before, more):
    now = dict(before)
    for value, count in more.items():
        now[value] = now.get(value, 0) + count
    assert difference(now, before) == more


@given(before=SPREADS, now=SPREADS)
def test_a_difference_has_as_many_values_as_there_are_more(before, now):
    """Whatever became of the buckets meanwhile."""
    more = sum(now.values()) - sum(before.values())
    assert sum(difference(now, before).values()) == max(0, more)


@given(st.lists(st.floats(1.0, 1e6), min_size=1, max_size=50), st.lists(st.floats(1.0, 1e6), max_size=50))
def test_a_coarser_scale_keeps_what_was_counted(before, more):
    """As an SDK does when its values need more room: the buckets of two become one."""
    new = difference(exponential(1, [*before, *more]), exponential(3, before))

    assert sum(new.values()) == len(more)


def exponential(scale: int, values: list[float]) -> Spread:
    places = Counter(math.ceil(math.log2(value) * 2**scale) - 1 for value in values)
    first, last = min(places), max(places)
    return of_exponential(scale, 0, first, [places[place] for place in range(first, last + 1)])


def test_only_values_that_are_new_are_new_at_a_coarser_scale():
    before = exponential(3, [10.0] * 90 + [11.0] * 10)
    assert difference(exponential(1, [10.0] * 90 + [11.0] * 10 + [5_000.0]), before) == exponential(
        1, [5_000.0]
    )


def test_an_estimated_sum_that_falls_is_no_new_beginning():
    """Who sends no sum has one that is made up of buckets: joined ones make it smaller."""
    memory = Memory()
    increase(memory, b"h", "cumulative", 1, Reading(58.0, 5, {11.6: 5}, is_estimate=True), NOW)
    new = increase(memory, b"h", "cumulative", 2, Reading(55.0, 5, {11.0: 5}, is_estimate=True), NOW)
    assert new == Reading(0.0, 0, {})


def test_a_told_sum_that_falls_is_a_new_beginning():
    memory = Memory()
    increase(memory, b"h", "cumulative", 1, Reading(58.0, 5, {11.6: 5}), NOW)
    new = increase(memory, b"h", "cumulative", 2, Reading(20.0, 5, {4.0: 5}), NOW)
    assert new == Reading(20.0, 5, {4.0: 5})
