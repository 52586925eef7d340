"""Counts go on from a snapshot, up to the moment, and meet the next one."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.lib.redis import connection
from apps.telemetry import snapshot as snapshots
from apps.telemetry.domain.figures import Count, Counts
from apps.telemetry.domain.live import Live
from apps.telemetry.domain.placing import placed
from apps.telemetry.domain.subjects import Labels
from apps.telemetry.domain.window import WINDOWS
from apps.telemetry.queries import recorded
from apps.telemetry.service import SETTLING_SECONDS, Telemetry
from apps.telemetry.stream import Stream
from tests.telemetry.factories import arrive, make_sample

START = 1_800_000_000.0


def report(live: Live, at: float, *outcomes: str, agent: int = 1, late: float = 0.0) -> None:
    parts = placed([make_sample(outcome=outcome, end=at - late) for outcome in outcomes], at)
    live.add(at=at, agent=agent, labels=Labels("w1", "builder", "here", "core"), parts=parts)


def begun(live: Live, window: int, now: float) -> None:
    live.count_on(live.snapshot(window, now, tick=1))


def counted(live: Live, window: int, now: float, agent: int = 1) -> int:
    return live.counts(window, now).agents[agent].operations


def test_an_operation_counts_before_its_second_is_over():
    live = Live()
    report(live, START, "ok")
    report(live, START + 1.1, "ok")
    begun(live, 60, START + 1.2)
    report(live, START + 1.3, "error", "induced", "ok")

    counts = live.counts(60, START + 1.3)

    assert counts.totals == counts.agents[1] == Count(5, 1, 1)
    assert live.snapshot(60, START + 1.3, tick=2).totals.operations == 1


def test_figures_may_end_before_what_is_known_and_counts_go_on_from_there():
    live = Live()
    for second in range(4):
        report(live, START + second + 0.5, "ok", "ok")

    shown = live.snapshot(60, START + 1.9, tick=1)
    live.count_on(shown)
    later = live.snapshot(60, START + 3.2, tick=2)

    assert (shown.at, shown.totals.operations, shown.agents[1].operations) == (START + 1.9, 2, 2)
    assert live.counts(60, START + 1.9).totals.operations == counted(live, 60, START + 1.9) == 8
    assert (later.totals.operations, sum(later.charts.throughput["w1"])) == (6, 6.0)


arrivals = st.lists(
    st.tuples(st.floats(0, 1.5), st.integers(1, 3), st.sampled_from([0.0, 0.4, 2.0, 30.0, 59.0, 298.0])),
    min_size=1,
    max_size=80,
)


@settings(max_examples=80, deadline=None)
@given(arrivals, st.integers(60, 330), st.sampled_from([60, 300]))
def test_at_a_whole_second_counts_are_what_a_snapshot_says(gaps, warm, window):
    """The first arrivals are long before the snapshot, so that seconds leave the window after it."""
    live, at = Live(), START
    for agent in (1, 2, 3):
        report(live, at, "ok", agent=agent)
        report(live, at + 4.5, "ok", "ok", agent=agent)
    at += warm
    for agent in (1, 2, 3):
        report(live, at, "ok", agent=agent)
    begun(live, window, at)
    ends = at + WINDOWS[window].every
    for gap, agent, late in gaps:
        at += gap
        if at < ends:
            report(live, at, "ok", "error", agent=agent, late=late)

    live.advance(ends)
    counts, snapshot = live.counts(window, ends), live.snapshot(window, ends, tick=2)

    assert counts.totals == Count(snapshot.totals.operations, snapshot.totals.errors, snapshot.totals.induced)
    for agent in (1, 2, 3):
        figures = snapshot.agents[agent]
        assert counts.agents[agent] == Count(figures.operations, figures.errors, figures.induced)


def test_what_came_late_leaves_with_its_second():
    live = Live()
    report(live, START, "ok")
    report(live, START + 59.5, *["ok"] * 9, late=59)
    begun(live, 60, START + 59.6)
    report(live, START + 59.7, *["ok"] * 10, late=59)

    assert counted(live, 60, START + 59.7) == 20
    assert counted(live, 60, START + 60.5) == 10
    assert counted(live, 60, START + 61) == 0


@pytest.mark.parametrize("window", [60, 300])
def test_a_count_under_steady_work_stands_still(window):
    live, seen = Live(), set()
    for tick in range((window + 30) * 4):
        now = START + tick / 4
        report(live, now, *["ok"] * 10)
        if tick % (4 * WINDOWS[window].every) == 1:
            begun(live, window, now)
        if tick > (window + 2) * 4:
            seen.add(counted(live, window, now))

    assert max(seen) - min(seen) <= 10
    assert max(seen) == pytest.approx(window * 40, abs=20)


def test_a_count_falls_as_work_gets_too_old():
    live = Live()
    report(live, START, *["ok"] * 100)
    begun(live, 60, START + 59.9)

    found = [counted(live, 60, START + 60 + passed) for passed in (0, 0.25, 0.5, 0.75, 1)]

    assert found == [100, 75, 50, 25, 0]


@pytest.mark.parametrize("window", [3_600, 86_400])
def test_a_long_window_keeps_its_count_until_its_next_snapshot(window):
    live = Live()
    report(live, START, *["ok"] * 100)
    begun(live, window, START + window - 60)
    report(live, START + window - 50, "ok")

    assert counted(live, window, START + window - 50) == 101


def test_what_is_too_old_for_a_window_does_not_count_in_it():
    live = Live()
    report(live, START, "ok")
    for window in (60, 300):
        begun(live, window, START + 200)
    report(live, START + 200.5, "ok", late=150)

    totals = {window: live.counts(window, START + 200.5).totals.operations for window in (60, 300)}

    assert totals == {60: 0, 300: 2}


def test_a_newcomer_counts_for_the_yard_at_once_and_shows_with_the_next_snapshot():
    live = Live()
    report(live, START, "ok")
    begun(live, 60, START + 1)
    report(live, START + 1.5, "ok", agent=2)
    counts = live.counts(60, START + 1.5)
    assert (counts.totals.operations, set(counts.agents)) == (2, {1})

    begun(live, 60, START + 2)

    assert counted(live, 60, START + 2, agent=2) == 1


def test_counts_take_the_place_of_a_snapshots_and_nothing_else():
    live = Live()
    for second in range(10):
        report(live, START + second, "ok", "ok")
    snapshot = live.snapshot(60, START + 10, tick=1)
    counts = Counts(at=START + 10.25, totals=Count(25, 3, 1), agents={1: Count(24, 2, 1), 9: Count(1)})

    found = snapshots.joined([snapshots.encode(snapshot), snapshots.encode(counts)])

    assert (found.totals.operations, found.totals.errors, found.totals.induced) == (25, 3, 1)
    assert (found.agents[1].operations, set(found.agents)) == (24, {1})
    assert found.totals.throughput == found.agents[1].throughput == pytest.approx(2.0)
    assert found.totals.p95 == snapshot.totals.p95


def test_counts_from_before_a_snapshot_are_passed_over():
    live = Live()
    report(live, START, "ok")
    snapshot = live.snapshot(60, START + 10, tick=1)
    counts = Counts(at=START + 9.75, totals=Count(99), agents={1: Count(99)})

    found = snapshots.joined([snapshots.encode(snapshot), snapshots.encode(counts)])

    assert found == snapshot
    assert snapshots.joined([None, snapshots.encode(counts)]) is None


@pytest.fixture
def client(redis_server):
    return connection(read_timeout=6.0)


def started(client) -> Telemetry:
    telemetry = Telemetry(client, tick_seconds=0.25)
    telemetry.start()
    return telemetry


def operations(window: int) -> tuple[int, int]:
    """Of the yard, and of its first agent."""
    found = snapshots.read(window)
    assert found
    return found.totals.operations, found.agents[1].operations


@pytest.mark.django_db(transaction=True)
def test_a_tick_tells_of_what_came_since_the_last(client):
    now = Stream(client).now()
    arrive(client, now - 40, 10.0)
    telemetry = started(client)
    telemetry.tick()
    for number in range(2, 8):
        arrive(client, time.time(), 10.0)
        telemetry.tick()

        assert {operations(window) for window in WINDOWS} == {(number, number)}


@pytest.mark.django_db(transaction=True)
def test_no_tick_takes_a_step_back(client):
    """Snapshots and counts go out together: who reads in between sees both or neither."""
    now = Stream(client).now()
    arrive(client, now - 40, 10.0)
    telemetry = started(client)
    telemetry.tick()
    arrive(client, time.time(), *[10.0] * 50)
    telemetry.catch_up()
    begins = float(int(Stream(client).now()))

    found = []
    for tick in range(24):
        telemetry.live.advance(begins + 1 + tick / 4)
        telemetry._publish(begins + 1 + tick / 4)
        found.append(operations(60))

    assert set(found) == {(51, 51)}


@pytest.mark.django_db(transaction=True)
def test_a_restart_in_the_middle_of_a_second_counts_the_same(client):
    now = Stream(client).now()
    for age in (200, 40, 3):
        arrive(client, now - age, 10.0, 20.0)
    first = started(client)
    first.tick()
    arrive(client, time.time(), 10.0, 20.0, 30.0)
    first.tick()
    before = {window: operations(window) for window in WINDOWS}  # and is killed here

    second = started(client)
    second.tick()
    assert (
        {window: operations(window) for window in WINDOWS}
        == before
        == {60: (7, 7), **dict.fromkeys((300, 3600, 86_400), (9, 9))}
    )

    arrive(client, time.time(), 10.0)
    second.tick()
    second.finish()
    assert operations(3600) == (10, 10)
    assert recorded(1).operations == 10


@pytest.mark.django_db(transaction=True)
def test_a_hint_tells_of_new_counts_and_nobody_is_woken_without(client):
    telemetry = started(client)
    telemetry.tick()
    pubsub = client.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe("yard:hints")
    pubsub.get_message(timeout=1)
    telemetry.tick()
    arrive(client, time.time(), 10.0)
    telemetry.tick()
    client.publish("yard:hints", "end")

    heard = []
    while not heard or heard[-1] != b"end":
        message = pubsub.get_message(timeout=1)
        heard += [message["data"]] if message else []

    assert heard.count(b'{"topic": "counts", "pk": 0}') == 1


@pytest.mark.django_db(transaction=True)
def test_a_window_goes_out_once_its_last_second_has_settled(client):
    telemetry = started(client)
    minute = float(int(Stream(client).now()) // 60 * 60)
    assert telemetry._due(minute + 31) == set(WINDOWS)

    assert telemetry._due(minute + 31 + SETTLING_SECONDS / 2) == set()
    assert telemetry._due(minute + 31.5) == {60}
    assert telemetry._due(minute + 32.5) == {60}
    assert telemetry._due(minute + 35.5) == {60, 300}
    assert telemetry._due(minute + 60.5) == set(WINDOWS)
