"""Figures are quick while somebody looks, and cheap while nobody does."""

import asyncio
import contextlib
import time

import pytest

from apps.lib.redis import connection
from apps.telemetry import pace, snapshot
from apps.telemetry.pace import CALM, KEPT_MS, QUICK, WATCHED, Pace
from apps.telemetry.service import SETTLING_SECONDS, Telemetry
from tests.telemetry.factories import arrive

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def client(redis_server):
    return connection(read_timeout=6.0)


def test_a_page_that_is_looked_at_quickens_it_for_a_while(client):
    before = pace.pace()
    pace.say_watched(1.0)

    assert (before, pace.pace()) == (CALM, QUICK)
    assert 0 < client.pttl(WATCHED) <= KEPT_MS


def test_nobody_minds_that_redis_is_away(redis_server):
    redis_server.kill()

    pace.say_watched(1.0)


def test_an_event_loop_follows_it_and_keeps_it_while_redis_is_away(client, redis_server, monkeypatch):
    monkeypatch.setattr(pace, "LOOK_SECONDS", 0.02)

    async def scenario() -> list[float]:
        followed, seen = Pace(), []
        task = asyncio.create_task(followed.follow())
        changes = (
            (lambda: None, CALM),
            (lambda: pace.say_watched(1.0), QUICK),
            (lambda: client.delete(WATCHED), CALM),
            (redis_server.kill, CALM),
        )
        for change, wanted in changes:
            await asyncio.to_thread(change)
            deadline = time.monotonic() + 10
            while followed.seconds != wanted and time.monotonic() < deadline:
                await asyncio.sleep(0.01)
            seen.append(followed.seconds)
        await asyncio.sleep(0.1)
        seen.append(task.done())
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return seen

    assert asyncio.run(scenario()) == [CALM, QUICK, CALM, CALM, False]


def test_the_telemetry_process_ticks_as_often_as_somebody_wants_to_see(client, monkeypatch):
    monkeypatch.setattr("apps.telemetry.service.LOOK_SECONDS", 0.0)
    telemetry = Telemetry(client, tick_seconds=0.25)
    telemetry.start()

    calm = telemetry.pause()
    pace.say_watched(1.0)

    assert (calm, telemetry.pause()) == (CALM, 0.25)


def test_a_longer_tick_of_the_operator_s_stays(client):
    telemetry = Telemetry(client, tick_seconds=5.0)
    telemetry.start()
    pace.say_watched(1.0)

    assert telemetry.pause() == 5.0


def test_a_second_is_over_later_while_agents_keep_samples_back(client):
    telemetry = Telemetry(client, tick_seconds=0.25)
    telemetry.start()
    telemetry.pause()
    arrive(client, time.time() - 5, 10.0)

    telemetry.tick()

    behind = telemetry.stream.now() - snapshot.read(60).at
    assert behind >= CALM - QUICK
    assert snapshot.read(60).totals.operations == 1


def test_figures_stay_late_until_agents_have_taken_up_the_quicker_pace(client, monkeypatch):
    monkeypatch.setattr("apps.telemetry.service.LOOK_SECONDS", 0.0)
    telemetry = Telemetry(client, tick_seconds=0.25)
    telemetry.start()
    telemetry.pause()
    pace.say_watched(1.0)
    telemetry.pause()

    telemetry.tick()
    soon = telemetry.stream.now() - telemetry._shown
    monkeypatch.setattr(telemetry, "_calm_until", 0.0)
    telemetry.tick()
    later = telemetry.stream.now() - telemetry._shown

    assert later < CALM - QUICK <= soon


def test_snapshots_are_seldom_until_somebody_looks_and_then_there_at_once(client, monkeypatch):
    monkeypatch.setattr("apps.telemetry.service.LOOK_SECONDS", 0.0)
    telemetry = Telemetry(client, tick_seconds=0.25)
    telemetry.start()
    telemetry.pause()
    begun = 1_700_000_000.0

    calm = [telemetry._due(begun + SETTLING_SECONDS + second) for second in range(15)]
    pace.say_watched(1.0)
    telemetry.pause()
    watched = [telemetry._due(begun + 16.5 + second) for second in range(3)]

    assert [60 in due for due in calm] == [second % 5 == 0 for second in range(15)]
    assert sum(300 in due for due in calm) == 2  # the first is due at once
    assert {60, 300} <= watched[0]
    assert all(60 in due for due in watched)


def test_what_is_shown_never_goes_back_when_the_pace_slackens(client, monkeypatch):
    monkeypatch.setattr("apps.telemetry.service.LOOK_SECONDS", 0.0)
    pace.say_watched(1.0)
    telemetry = Telemetry(client, tick_seconds=0.25)
    telemetry.start()
    telemetry.pause()
    telemetry.tick()
    shown = telemetry._shown

    client.delete(WATCHED)
    telemetry.pause()
    telemetry.tick()

    assert telemetry._shown >= shown
