"""Live against a plain list of everything that arrived."""

import math
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from apps.telemetry.domain.live import FORGET_SECONDS, MAX_AGENTS, Live
from apps.telemetry.domain.placing import LATE_SECONDS, placed
from apps.telemetry.domain.sample import Reading, Sample
from apps.telemetry.domain.series import LENGTHS
from apps.telemetry.domain.spread import load_balance
from apps.telemetry.domain.subjects import Labels
from apps.telemetry.domain.tally import MAX_WAIT_KINDS, OTHER, tally_of, total
from apps.telemetry.domain.window import WINDOWS

START = 1_800_000_000.0


def sample(ms: float = 10.0, **overrides) -> Sample:
    fields = {"kind": "build", "end": START, "ms": ms, "wait_ms": 0.0, "outcome": "ok", **overrides}
    return Sample(**fields)


def report(
    live: Live, at: float, *samples: Sample, agent: int = 1, group: str = "w1", late: float = 0.0
) -> None:
    """Operations that ended `late` seconds before they were reported."""
    parts = placed([replace(sample, end=at - late) for sample in samples], at)
    live.add(at=at, agent=agent, labels=Labels(group, "builder", "here", "core"), parts=parts)


def nearest_rank(values: list[float], quantile: float) -> float:
    return sorted(values)[max(1, math.ceil(quantile * len(values) - 1e-9)) - 1]


arrivals = st.lists(
    st.tuples(
        st.floats(0, 40),
        st.integers(1, 3),
        st.floats(0.01, 5000),
        st.one_of(st.floats(0, 4), st.floats(0, LATE_SECONDS - 1)),
    ),
    min_size=1,
    max_size=120,
)


@settings(max_examples=60, deadline=None)
@given(arrivals, st.floats(0, 100), st.sampled_from(sorted(WINDOWS)))
def test_a_window_equals_what_ended_in_it(gaps, silence, window):
    live, ended, at = Live(), [], START
    for gap, agent, ms, late in gaps:
        at += gap
        report(live, at, sample(ms), agent=agent, late=late)
        ended.append((int(at - late), agent, ms))
    now = at + 1 + silence

    snapshot = live.snapshot(window, now, tick=1)

    first = WINDOWS[window].start(int(now))
    inside = [(agent, ms) for second, agent, ms in ended if first <= second < int(now)]
    assert snapshot.totals.operations == len(inside)
    for agent in {1, 2, 3}:
        mine = [ms for who, ms in inside if who == agent]
        figures = snapshot.agents.get(agent)
        assert (figures.operations if figures else 0) == len(mine)
        if figures and mine:
            assert figures.p95 == pytest.approx(nearest_rank(mine, 0.95), rel=0.01)
            assert figures.mean == pytest.approx(statistics.fmean(mine))
            assert figures.max == max(mine)


def test_percentiles_of_the_yard_are_of_all_values_not_of_agents():
    live = Live()
    report(live, START, *[sample(10.0)] * 99, agent=1)
    report(live, START, sample(1000.0), agent=2)

    totals = live.snapshot(60, START + 2, tick=1).totals

    assert totals.p50 == pytest.approx(10, rel=0.01)
    assert totals.p99 == pytest.approx(10, rel=0.01)
    assert totals.max == 1000


def test_throughput_decays_to_zero_once_an_agent_idles():
    live = Live()
    report(live, START - 100, sample(), agent=2)
    for second in range(60):
        report(live, START + second, sample(), sample())

    rates = [live.snapshot(60, START + 60 + idle, tick=1).agents[1].throughput for idle in (0, 30, 59)]

    assert rates == [pytest.approx(2.0), pytest.approx(1.0), pytest.approx(1 / 30)]
    assert live.snapshot(60, START + 121, tick=1).totals.throughput == 0


def test_throughput_of_a_young_yard_counts_the_time_it_has_run():
    live = Live()
    for second in range(5):
        report(live, START + second, *[sample()] * 4)

    assert live.snapshot(3600, START + 5, tick=1).totals.throughput == pytest.approx(4.0)


@pytest.mark.parametrize("window", [60, 300, 3600])
def test_throughput_before_is_that_of_the_equally_long_period_before_the_window(window):
    live, step = Live(), max(1, window // 300)
    for second in range(0, 3 * window, step):
        report(live, START + second, *[sample()] * step * (1 if second < 2 * window else 3))

    totals = live.snapshot(window, START + 3 * window, tick=1).totals

    assert totals.throughput == pytest.approx(3.0, rel=0.02)
    assert totals.throughput_before == pytest.approx(1.0, rel=0.02)


def test_nothing_is_said_of_a_period_before_that_the_yard_did_not_see_all_of():
    live = Live()
    for second in range(119):
        report(live, START + second, sample())
    assert live.snapshot(60, START + 119, tick=1).totals.throughput_before is None
    assert live.snapshot(60, START + 120, tick=2).totals.throughput_before == pytest.approx(59 / 60, abs=0.02)

    assert live.snapshot(86_400, START + 120, tick=3).totals.throughput_before is None


def test_it_tells_errors_from_failures_on_purpose():
    live = Live()
    report(
        live, START, sample(), sample(outcome="error"), sample(outcome="induced"), sample(outcome="induced")
    )

    figures = live.snapshot(60, START + 1, tick=1).agents[1]

    assert (figures.operations, figures.errors, figures.induced) == (4, 1, 2)


def test_lock_wait_is_summed_and_set_against_operation_time():
    live = Live()
    report(
        live,
        START,
        sample(1000.0, wait_ms=250.0, wait_kind="build-directory"),
        sample(1000.0, wait_ms=250.0, wait_kind="package-cache"),
    )

    snapshot = live.snapshot(60, START + 1, tick=1)

    assert snapshot.totals.wait_ms == 500
    assert snapshot.totals.wait_pct == pytest.approx(25.0)
    assert snapshot.charts.wait == {"build-directory": [0.25], "package-cache": [0.25]}


def test_kinds_of_waits_are_bounded():
    live = Live()
    for number in range(1000):
        report(live, START, sample(wait_ms=1.0, wait_kind=f"lock-{number}"))

    waits = live.snapshot(60, START + 1, tick=1).charts.wait

    assert len(waits) == MAX_WAIT_KINDS + 1
    assert waits[OTHER] == [pytest.approx((1000 - MAX_WAIT_KINDS) / 1000)]


def test_no_figure_is_made_up_where_there_is_no_data():
    totals = Live().snapshot(60, START, tick=1).totals

    assert (totals.mean, totals.p50, totals.max, totals.wait_pct) == (None, None, None, None)
    assert (totals.load_balance, totals.coordination_efficiency) == (None, None)


def test_memory_and_cpu_are_the_last_reading_as_long_as_it_is_fresh():
    live = Live()
    live.read(
        at=START,
        readings=[Reading(1, "w1", "builder", START, 100, 0.5), Reading(2, "w1", "builder", START, 300, 1.5)],
    )

    fresh = live.snapshot(60, START + 5, tick=1)
    stale = live.snapshot(60, START + 30, tick=2)

    assert (fresh.totals.memory, fresh.totals.cpu, fresh.agents[2].memory) == (400, 2.0, 300)
    assert (stale.totals.memory, stale.totals.cpu, stale.agents[2].memory) == (0, 0.0, 0)


def test_a_reading_outweighs_what_the_agent_says_of_itself():
    live = Live()
    live.read(at=START, readings=[Reading(1, "w1", "builder", START, 500, 1.0)])
    report(live, START + 1, sample(memory=7))
    report(live, START + 1, sample(memory=8), agent=2)
    report(live, START + 2, sample(memory=9), agent=2)

    agents = live.snapshot(60, START + 3, tick=1).agents

    assert (agents[1].memory, agents[2].memory) == (500, 9)


def test_the_memory_chart_adds_up_the_agents():
    live = Live()
    for second in range(3):
        live.read(
            at=START + second,
            readings=[Reading(pk, "w1", "builder", START, 100 + second, 0.0) for pk in (1, 2)],
        )

    assert live.snapshot(60, START + 3, tick=1).charts.memory == [200.0, 202.0, 204.0]


@pytest.mark.parametrize("window", sorted(WINDOWS))
def test_charts_have_equally_long_lines_of_a_bounded_number_of_points(window):
    live = Live()
    for second in range(0, 2 * window, max(1, window // 500)):
        report(live, START + second, sample(wait_ms=1.0, wait_kind="slot"), group=f"w{second % 3}")

    charts = live.snapshot(window, START + 2 * window, tick=1).charts

    lines = [
        *charts.throughput.values(),
        *charts.wait.values(),
        charts.p50,
        charts.p95,
        charts.p99,
        charts.memory,
    ]
    assert {len(line) for line in lines} == {len(charts.times)}
    assert 60 <= len(charts.times) <= (288 if window == 86_400 else 120)
    assert sorted(charts.throughput) == ["w0", "w1", "w2"]


@pytest.mark.parametrize("window", sorted(WINDOWS))
def test_charts_and_sparklines_show_a_steady_rate_as_a_straight_line(window):
    live, step = Live(), max(1, window // 2_400)
    for second in range(0, window + window // 2, step):
        report(live, START + second, *[sample()] * step * 2)

    snapshot = live.snapshot(window, START + window + window // 2, tick=1)

    assert snapshot.charts.throughput["w1"] == pytest.approx([2.0] * len(snapshot.charts.times), rel=0.15)
    assert snapshot.agents[1].sparkline == pytest.approx([2.0] * 24, rel=0.15)
    assert snapshot.agents[1].throughput == pytest.approx(2.0, rel=0.05)


def test_agents_are_forgotten_after_a_day_of_silence():
    live = Live()
    report(live, START, sample(), agent=1)
    report(live, START + FORGET_SECONDS, sample(), agent=2)

    live.advance(START + FORGET_SECONDS + 20)

    assert set(live.agents) == {2}


def test_the_number_of_agents_is_bounded_and_the_longest_silent_go_first():
    live = Live()
    for agent in range(MAX_AGENTS + 1):
        report(live, START + agent / 1000, sample(), agent=agent)

    assert len(live.agents) <= MAX_AGENTS
    assert 0 not in live.agents
    assert MAX_AGENTS in live.agents


def test_rings_stay_within_their_length():
    live = Live()
    for second in range(0, 100_000, 7):
        report(live, START + second, sample())
    live.advance(START + 100_010)

    rings = {**live.agents[1].series.rings}
    assert all(0 < len(ring.entries) <= LENGTHS[step] + 10 for step, ring in rings.items())


def test_what_rollups_kept_is_in_the_windows_again():
    live, labels = Live(), Labels("w1", "builder")
    for step, count in ((300, 30), (10, 1), (1, 1)):
        for start in range(int(START) - (600 if step > 1 else 100), int(START), step):
            tally = tally_of([sample()] * (count if step > 1 else 0))
            live.restore(agent=1, labels=labels, step=step, start=start, tally=tally)
            live.restore_yard(step=step, start=start, tally=tally)
    live.restored(since=START - 600)
    report(live, START + 1, sample())

    snapshot = live.snapshot(3600, START + 2, tick=1)

    assert snapshot.totals.operations == 61
    assert snapshot.agents[1].operations == 61
    assert snapshot.totals.throughput == pytest.approx(61 / 602)


@pytest.mark.parametrize(
    ("operations", "balance"),
    [([], None), ([5], None), ([5, 5, 5], 1.0), ([0, 10], 0.0), ([8, 12], 0.8), ([1, 1, 1, 97], 0.0)],
)
def test_load_balance_is_one_minus_the_coefficient_of_variation(operations, balance):
    assert load_balance(operations) == (balance if balance is None else pytest.approx(balance))


def test_tallies_add_up():
    first, second = sample(5.0, wait_ms=1.0, wait_kind="slot"), sample(7.0, outcome="error", memory=9)

    added = total([tally_of([first]), tally_of([second])])

    assert (added.operations, added.errors, added.induced) == (2, 1, 0)
    assert (added.duration_ms, added.wait_ms, added.max_ms, added.memory) == (12.0, 1.0, 7.0, 9)
    assert added.waits == {"slot": 1.0}
    assert added.sketch.to_bytes() == tally_of([first, second]).sketch.to_bytes()
