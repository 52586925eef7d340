import asyncio
import os
import signal
import threading
import time

import pytest
from django.db import transaction

from apps.events.hints import HintListener, hint_batches, publish, publish_on_commit


def subscribed(*topics: str) -> HintListener:
    listener = HintListener(topics)
    assert listener.wait(0.05) == set()
    return listener


def test_it_wakes_a_waiting_loop(redis_server):
    listener = subscribed("agent")
    threading.Timer(0.1, publish, ("agent", 7)).start()

    started = time.monotonic()
    found = listener.wait(5)

    assert found == {("agent", 7)}
    assert time.monotonic() - started < 4


def test_it_hands_over_all_pending_hints_once(redis_server):
    listener = subscribed("agent", "wave")
    for topic, pk in [("agent", 1), ("wave", 2), ("agent", 1), ("host", 3)]:
        publish(topic, pk)

    found = set()
    deadline = time.monotonic() + 5
    while len(found) < 2 and time.monotonic() < deadline:
        found |= listener.wait(0.2)

    assert found == {("agent", 1), ("wave", 2)}
    assert listener.wait(0.05) == set()


def test_it_ignores_messages_that_are_no_hints(redis_server):
    listener = subscribed("agent")
    for junk in [b"", b"[]", b"{", b'{"topic":"agent"}', b'{"topic":"agent","pk":"x"}']:
        redis_server.client().publish("yard:hints", junk)
    publish("agent", 4)

    assert listener.wait(5) == {("agent", 4)}


def test_it_times_out_while_redis_is_away_and_hears_again_later(redis_server):
    listener = subscribed("agent")
    redis_server.kill()

    started = time.monotonic()
    assert listener.wait(0.3) == set()
    assert time.monotonic() - started < 4

    redis_server.start()
    deadline = time.monotonic() + 10
    heard: set = set()
    while not heard and time.monotonic() < deadline:
        publish("agent", 5)
        heard = listener.wait(0.2)
    assert heard == {("agent", 5)}


def test_publishing_never_raises_while_redis_is_away(redis_server):
    redis_server.kill()

    started = time.monotonic()
    publish("agent", 1)

    assert time.monotonic() - started < 4


def test_publishing_gives_up_soon_when_redis_hangs(redis_server):
    publish("agent", 1)
    os.kill(redis_server.process.pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        publish("agent", 1)
        assert time.monotonic() - started < 4
    finally:
        os.kill(redis_server.process.pid, signal.SIGCONT)


@pytest.mark.django_db(transaction=True)
def test_it_publishes_after_the_commit_alone(redis_server):
    listener = subscribed("wave")
    with transaction.atomic():
        publish_on_commit("wave", 1)
        assert listener.wait(0.1) == set()

    assert listener.wait(5) == {("wave", 1)}


@pytest.mark.django_db(transaction=True)
def test_it_publishes_nothing_for_what_was_rolled_back(redis_server):
    listener = subscribed("wave")
    with pytest.raises(RuntimeError), transaction.atomic():
        publish_on_commit("wave", 1)
        raise RuntimeError

    assert listener.wait(0.2) == set()


def test_an_event_loop_gets_batches_and_a_sign_after_a_lost_connection(redis_server):
    async def scenario() -> tuple[set, set]:
        batches = hint_batches({"telemetry"})
        first = await first_batch(batches)
        redis_server.kill()
        redis_server.start()
        after_loss = await asyncio.wait_for(anext(batches), 10)
        await batches.aclose()
        return first, after_loss

    async def first_batch(batches) -> set:
        waiting = asyncio.ensure_future(anext(batches))
        for _ in range(200):
            publish("telemetry", 60)
            done, _ = await asyncio.wait([waiting], timeout=0.05)
            if done:
                return waiting.result()
        raise AssertionError("no hint arrived")

    first, after_loss = asyncio.run(scenario())

    assert first == {("telemetry", 60)}
    assert after_loss in (set(), {("telemetry", 60)})
