"""Charts of one agent: gaps where nothing was heard of it, and an answer only for who asks."""

import pytest

from apps.lib.redis import connection
from apps.telemetry import agent_charts
from apps.telemetry.agent_charts import ASKED_SECONDS, Desk
from apps.telemetry.domain.agent_charts import HELD_SECONDS
from apps.telemetry.domain.live import Live
from apps.telemetry.domain.placing import placed
from apps.telemetry.domain.sample import Reading
from apps.telemetry.domain.series import LENGTHS
from apps.telemetry.domain.subjects import Labels
from apps.telemetry.domain.tally import tally_of
from apps.telemetry.service import Telemetry
from apps.telemetry.stream import Stream
from tests.telemetry.factories import arrive, make_sample

START = 1_800_000_000


def report(live: Live, at: float, *milliseconds: float, agent: int = 1, **overrides) -> None:
    parts = placed([make_sample(ms, **{"end": at, **overrides}) for ms in milliseconds], at)
    live.add(at=at, agent=agent, labels=Labels("w1", "builder"), parts=parts)


def read(live: Live, at: float, memory: int, agent: int = 1) -> None:
    live.read(at=at, readings=[Reading(agent, "w1", "builder", at, memory, 0.5)])


def test_lines_hold_what_the_agent_did_alone():
    live = Live()
    for second in range(10):
        report(live, START + second, 10.0, 30.0)
        report(live, START + second, 500.0, agent=2)
        read(live, START + second, 100 + second)

    charts = live.agent_charts(1, 60, START + 10)

    assert charts.times == [float(START + second) for second in range(10)]
    assert charts.throughput == [2.0] * 10
    assert charts.p99 == pytest.approx([30.0] * 10, rel=0.01)
    assert charts.memory == [100.0 + second for second in range(10)]


def test_an_agent_that_idles_did_nothing_and_one_that_is_gone_has_a_gap():
    live = Live()
    report(live, START, 10.0)
    for second in range(20):
        read(live, START + second, 100)
    report(live, START + 40, 10.0)

    charts = live.agent_charts(1, 60, START + 42)

    silent = slice(20 + HELD_SECONDS, 40)
    assert charts.throughput[1:20] == [0.0] * 19
    assert set(charts.throughput[silent]) == {None}
    assert set(charts.memory[silent]) == {None}
    assert charts.p50[1] is None
    assert charts.throughput[40] == 1.0


def test_a_late_reading_makes_no_gap():
    live = Live()
    for second in (0, 3, 6):
        read(live, START + second, 100 + second)

    charts = live.agent_charts(1, 60, START + 8)

    assert charts.memory == [100.0, 100.0, 100.0, 103.0, 103.0, 103.0, 106.0, 106.0]


def test_a_heartbeat_without_samples_is_a_sign_of_life():
    live = Live()
    for second in range(4):
        live.add(at=START + second, agent=1, labels=Labels("w1"), parts={})

    charts = live.agent_charts(1, 60, START + 4)

    assert charts.throughput == [0.0] * 4
    assert charts.memory == [None] * 4


def test_lock_wait_is_told_by_kind():
    live = Live()
    report(live, START, 800.0, wait_ms=500.0, wait_kind="slot")
    report(live, START + 1, 800.0)

    assert live.agent_charts(1, 60, START + 2).wait == {"slot": [0.5, 0.0]}


@pytest.mark.parametrize("window", [60, 300, 3600])
def test_a_steady_agent_is_a_straight_line_of_a_bounded_number_of_points(window):
    live, step = Live(), max(1, window // 600)
    for second in range(0, 2 * window, step):
        report(live, START + second, *[10.0] * step)
        read(live, START + second, 100)

    charts = live.agent_charts(1, window, START + 2 * window)

    assert 60 <= len(charts.times) <= (288 if window == 86_400 else 120)
    assert charts.throughput == pytest.approx([1.0] * len(charts.times), rel=0.2)
    assert charts.memory == [100.0] * len(charts.times)
    assert charts.times[-1] + window / len(charts.times) == pytest.approx(START + 2 * window, abs=30)


def test_it_has_no_charts_of_an_agent_that_was_never_heard_of():
    assert Live().agent_charts(7, 60, START) is None


def test_an_agent_that_is_silent_all_through_has_no_points():
    live = Live()
    report(live, START, 10.0)

    assert live.agent_charts(1, 60, START + 600).times == []


def test_what_rollups_kept_is_in_the_charts_again():
    live = Live()
    kept = tally_of([make_sample(10.0)] * 20)
    kept.memory = 5_000
    live.restore(agent=1, labels=Labels("w1"), step=10, start=START, tally=kept)
    live.restore(agent=1, labels=Labels("w1"), step=300, start=START, tally=kept)
    live.restored(since=START)

    charts = live.agent_charts(1, 3600, START + 60)

    assert charts.throughput == [pytest.approx(20 / 30), None]
    assert charts.memory == [5_000.0, None]


def test_signs_stay_within_their_length():
    live = Live()
    for second in range(4_000):
        read(live, START + second, 100)

    signs = live.agents[1].signs

    assert len(list(signs.since(1, 0))) <= LENGTHS[1] + 10
    assert len(list(signs.since(10, 0))) <= LENGTHS[10] + 2


@pytest.fixture
def client(redis_server):
    return connection(read_timeout=6.0)


@pytest.mark.django_db(transaction=True)
def test_it_answers_at_the_next_tick_who_asks(client):
    arrive(client, Stream(client).now() - 5, 10.0, agent=7)
    telemetry = Telemetry(client, tick_seconds=1.0)
    telemetry.start()
    telemetry.tick()
    assert agent_charts.read(7, 3600) is None

    telemetry.tick()

    answer = agent_charts.read(7, 3600)
    assert (answer.agent, answer.window) == (7, 3600)
    assert not client.exists(agent_charts.key(7, 60))


def test_nobody_asking_costs_nothing(client):
    live = Live()
    report(live, START, 10.0)
    desk = Desk(client)

    assert desk.answer(live, START + 5, due={60}) == set()
    assert not client.exists(agent_charts.key(1, 60))


def test_it_stops_soon_after_the_last_question(client):
    live, desk = Live(), Desk(client)
    report(live, START, 10.0)
    agent_charts.read(1, 60)

    assert desk.answer(live, START + 1, due=set()) == {60}
    assert desk.answer(live, START + 2, due=set()) == set()
    assert desk.answer(live, START + ASKED_SECONDS, due={60}) == {60}
    assert desk.answer(live, START + ASKED_SECONDS + 2, due={60}) == set()


def test_questions_that_make_no_sense_are_passed_over(client):
    client.sadd(agent_charts.ASKED, "1:61", "x:60", "", "9:60")

    assert Desk(client).answer(Live(), START, due={60}) == set()
