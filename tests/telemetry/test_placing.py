"""A sample counts when it ended, unless its clock can't be right."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.telemetry.domain.live import Live
from apps.telemetry.domain.placing import EARLY_SECONDS, LATE_SECONDS, Placing, placed
from apps.telemetry.domain.subjects import Labels
from tests.telemetry.factories import make_sample

ARRIVAL = 1_800_000_000.25
YEAR = 365 * 86_400.0


@pytest.mark.parametrize(
    ("off", "counts_at", "corrected"),
    [
        (0.0, 0, 0),
        (-1.0, -1, 0),
        (-LATE_SECONDS, -LATE_SECONDS, 0),
        (-LATE_SECONDS - 0.5, 0, 1),
        (EARLY_SECONDS, 0, 0),  # just ended: nothing ends in the future
        (EARLY_SECONDS + 0.5, 0, 1),
        (YEAR, 0, 1),
        (-YEAR, 0, 1),
    ],
)
def test_it_counts_at_its_end_or_where_that_cannot_be_at_its_arrival(off, counts_at, corrected):
    [(second, tally)] = placed([make_sample(10.0, end=ARRIVAL + off)], ARRIVAL).items()

    assert second == int(ARRIVAL) + counts_at
    assert (tally.operations, tally.corrected) == (1, corrected)


@given(st.lists(st.floats(0, 1e11), max_size=50))
def test_every_sample_counts_once_within_the_bounds(ends):
    parts = placed([make_sample(10.0, end=end) for end in ends], ARRIVAL)

    assert sum(tally.operations for tally in parts.values()) == len(ends)
    assert all(ARRIVAL - LATE_SECONDS - 1 <= second <= ARRIVAL for second in parts)


def test_a_spool_that_comes_at_once_fills_the_seconds_in_which_it_was_made():
    live, labels = Live(), Labels("w1")
    live.add(
        at=ARRIVAL - 100,
        agent=1,
        labels=labels,
        parts=placed([make_sample(end=ARRIVAL - 100)], ARRIVAL - 100),
    )
    spool = [make_sample(end=ARRIVAL - 50 + second) for second in range(40)]

    live.add(at=ARRIVAL, agent=1, labels=labels, parts=placed(spool, ARRIVAL))

    charts = live.snapshot(60, ARRIVAL + 1, tick=1).charts
    by_second = dict(zip(charts.times, charts.throughput["w1"], strict=True))
    assert [by_second[float(int(ARRIVAL) - 50 + second)] for second in range(40)] == [1.0] * 40


def test_figures_tell_how_many_were_corrected():
    live = Live()
    samples = [make_sample(end=ARRIVAL), make_sample(end=ARRIVAL + YEAR), make_sample(end=0.0)]
    live.add(at=ARRIVAL, agent=1, labels=Labels("w1"), parts=placed(samples, ARRIVAL))

    snapshot = live.snapshot(60, ARRIVAL + 1, tick=1)

    assert (
        snapshot.totals.corrected == snapshot.agents[1].corrected == snapshot.groups["wave:w1"].corrected == 2
    )
    assert snapshot.totals.operations == 3


@given(st.lists(st.lists(st.floats(ARRIVAL - 400, ARRIVAL + 10), max_size=6), max_size=6))
def test_frames_that_are_placed_together_count_like_each_alone(frames):
    arrivals = [ARRIVAL + number / 100 for number in range(len(frames))]
    made = [[make_sample(10.0, end=end) for end in ends] for ends in frames]
    together, alone = Placing(), Counter()

    for samples, arrival in zip(made, arrivals, strict=True):
        together.add(samples, arrival)
        for second, tally in placed(samples, arrival).items():
            alone[second] += tally.operations
            alone["corrected"] += tally.corrected

    found = together.tallies()
    assert {second: tally.operations for second, tally in found.items()} == {
        second: count for second, count in alone.items() if second != "corrected"
    }
    assert sum(tally.corrected for tally in found.values()) == alone["corrected"]
