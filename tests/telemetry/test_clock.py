"""Redis' clock gets ahead and is put back. Its stream's ids can't follow it back: they stay at the latest moment."""

import random
import threading
import time

import pytest
from django.db import connections

from apps.lib.redis import connection
from apps.telemetry import snapshot as snapshots
from apps.telemetry import stream
from apps.telemetry.domain.deletion_clock import LASTING_SECONDS, DeletionClock
from apps.telemetry.domain.measures import Measure
from apps.telemetry.domain.sample import Reading
from apps.telemetry.exceptions import ClockWentBack
from apps.telemetry.ingest import BYTES_IN, STREAM, encode_body
from apps.telemetry.models import Rollup
from apps.telemetry.queries import counted_until, recorded
from apps.telemetry.service import Telemetry, run
from apps.telemetry.stream import Stream
from tests.telemetry.factories import arrive, make_body, measured_totals
from tests.telemetry.test_measures import report
from tests.telemetry.test_service import kept, started

pytestmark = pytest.mark.django_db(transaction=True)

HOUR, MONTH = 3600.0, 31 * 86_400.0


@pytest.fixture
def client(redis_server):
    return connection(read_timeout=6.0)


class Ahead:
    """The telemetry process sees Redis' clock so many seconds ahead."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 0.0
        truth = stream._seconds
        monkeypatch.setattr(stream, "_seconds", lambda at: truth(at) + self.seconds)


@pytest.fixture
def ahead(monkeypatch):
    return Ahead(monkeypatch)


def add(client, **fields) -> bytes:
    """As the gateway adds a frame, unless told otherwise: Redis chooses the id."""
    body = fields.get("s") or fields.get("m") or fields.get("p") or b""
    agent = {"a": 1, "g": "w1", "r": "builder", "h": "here", "o": "core"}
    return client.xadd(STREAM, agent | fields | {"n": client.incrby(BYTES_IN, len(body))})


def after_a_jump(client) -> None:
    """One operation before the clock got ahead by an hour, one meanwhile. The ids stay there for an hour."""
    now = Stream(client).now()
    arrive(client, now - 100, 10.0)
    arrive(client, now + HOUR, 20.0)


def wait_until(told, do=lambda: None) -> None:
    deadline = time.monotonic() + 60
    while not told():
        assert time.monotonic() < deadline, "nothing came of it"
        time.sleep(0.1)
        do()


def tick_until(telemetry: Telemetry, told) -> None:
    wait_until(told, telemetry.tick)


@pytest.mark.slow
def test_figures_go_on_while_ids_stand_still(client):
    after_a_jump(client)
    telemetry = started(client)
    telemetry.tick()
    add(client, s=make_body(30.0, end=time.time()))

    tick_until(telemetry, lambda: snapshots.read(60).totals.max == 30.0)
    tick_until(telemetry, lambda: recorded(1).operations == 3)

    assert abs(snapshots.read(60).charts.times[-1] - time.time()) < 60
    assert abs(recorded(1).until - time.time()) < 60


def test_a_sample_keeps_its_second_while_ids_stand_still(client):
    after_a_jump(client)
    ended = int(time.time()) - 50
    add(client, s=make_body(30.0, end=float(ended)))

    started(client).tick()

    [tally] = [tally for second, tally in kept(1, "agent:1") if second == ended]
    assert (tally.max_ms, tally.corrected) == (30.0, 0)


def test_readings_and_measures_count_when_they_are_read(client):
    after_a_jump(client)
    add(client, p=encode_body([Reading(2, "w1", "builder", time.time(), 300, 0.5)]))
    add(client, m=encode_body([Measure("tokens.input", "", "sum", 7.0)]))
    telemetry = started(client)

    tick_until(telemetry, lambda: measured_totals(1) and snapshots.read(60).agents[2].memory == 300)

    assert snapshots.read(60).totals.tokens == 7.0


def test_a_clock_that_is_put_back_under_way_is_begun_anew_from(client, ahead):
    now = time.time()
    arrive(client, now - 100, 10.0)
    ahead.seconds = HOUR
    telemetry = started(client)
    telemetry.tick()
    arrive(client, now + HOUR, 20.0)
    telemetry.catch_up()
    ahead.seconds = 0.0

    with pytest.raises(ClockWentBack, match=r"put back by 3[56]"):
        telemetry.tick()
    telemetry.start()
    telemetry.tick()

    assert recorded(1).operations == 2
    assert snapshots.read(300).totals.operations == 2
    assert counted_until() <= time.time()


@pytest.mark.slow
def test_a_clock_that_is_put_back_is_told_and_the_process_goes_on(client, ahead, caplog):
    ahead.seconds = HOUR
    arrive(client, time.time() + HOUR - 1, 10.0)
    stop = threading.Event()

    def telemetry() -> None:
        try:
            run(client, tick_seconds=0.25, stop=stop)
        finally:
            connections.close_all()

    process = threading.Thread(target=telemetry)
    process.start()
    try:
        wait_until(
            lambda: client.exists(snapshots.key(60)) and snapshots.read(60).at > time.time() + HOUR / 2
        )
        ahead.seconds = 0.0
        wait_until(lambda: snapshots.read(60).at < time.time() + 60)
        add(client, s=make_body(30.0, end=time.time()))
        wait_until(lambda: snapshots.read(60).totals.max == 30.0)
    finally:
        stop.set()
        process.join()

    assert "Redis' clock was put back by" in caplog.text
    assert "behind the newest entry of its sample stream" in caplog.text


def test_a_small_step_back_is_waited_for(client, ahead):
    telemetry = started(client)
    ahead.seconds = 3.0
    telemetry.tick()
    ahead.seconds = 0.0
    add(client, s=make_body(30.0, end=time.time()))

    tick_until(telemetry, lambda: recorded(1).operations == 1)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_the_clock_does_everything_is_counted_once(client, ahead, seed):
    chance, sent, last = random.Random(seed), 0, 0.0
    telemetry = started(client)
    for _ in range(60):
        what = chance.choice(["frames", "frames", "frames", "tick", "tick", "step", "restart", "finish"])
        if what == "frames":
            for _ in range(chance.randint(1, 5)):
                last = max(last, Stream(client).now())
                arrive(client, last, 10.0, end=time.time() - chance.choice([0, 1, 50, 400]))
                report(client, last, Measure("commits", "", "sum", 1.0))
                sent += 1
        elif what == "step":
            ahead.seconds = chance.choice([0.0, 0.0, 3.0, 11.0, 70.0, HOUR, MONTH])
        elif what == "restart":
            telemetry = started(client)
        else:
            try:
                telemetry.tick() if what == "tick" else telemetry.finish()
            except ClockWentBack:
                telemetry.start()
    ahead.seconds = 0.0
    telemetry = started(client)
    telemetry.tick()
    telemetry.finish()

    assert recorded(1).operations == measured_totals(1)["commits"].amount == sent
    for resolution in (1, 10, 60):
        assert sum(tally.operations for _, tally in kept(resolution, "agent:1")) == sent
    assert counted_until() <= time.time() + 1


def test_a_moment_ahead_deletes_no_history(client, ahead):
    arrive(client, time.time() - 600, 10.0)
    telemetry = started(client)
    telemetry.tick()
    telemetry.finish()
    before = Rollup.objects.count()
    ahead.seconds = MONTH

    for _ in range(3):
        telemetry._retained_at = 0.0
        telemetry.tick()
    started(client).tick()

    assert Rollup.objects.count() >= before > 0


def test_rows_are_deleted_by_a_step_ahead_once_that_has_lasted():
    clock = DeletionClock()
    clock.begin(1_000.0, 0.0)

    assert clock.moment(1_060.0, 60.0) == 1_060.0
    assert clock.moment(1_120.0 + MONTH, 120.0) == 1_120.0
    assert clock.moment(1_180.0 + MONTH, 180.0) == 1_180.0
    assert (
        clock.moment(1_120.0 + LASTING_SECONDS + MONTH, 120.0 + LASTING_SECONDS)
        == 1_120.0 + LASTING_SECONDS + MONTH
    )
    assert clock.moment(500.0, 4_000.0) == 500.0


def test_a_step_ahead_that_was_put_back_is_doubted_anew_when_it_comes_again():
    clock = DeletionClock()
    clock.begin(1_000.0, 0.0)
    clock.moment(1_060.0 + MONTH, 60.0)
    clock.moment(1_120.0, 120.0)

    late = 60.0 + LASTING_SECONDS
    assert clock.moment(1_000.0 + late + MONTH, late) == 1_000.0 + late
