import asyncio
import random

import pytest

from apps.lib.redis import RedisUnavailable, connection
from apps.telemetry import ingest
from apps.telemetry.domain.sample import Reading
from apps.telemetry.ingest import AgentNow, Frame, FrameAppender, Said, StreamFull
from tests.telemetry.factories import make_body


def add(seq: int, **options) -> str:
    return add_all(frame(seq, **options))[0]


def add_all(*frames: Frame) -> list[str]:
    """In one call of the appender."""

    async def append() -> list[str]:
        appender = FrameAppender()
        try:
            return await added(appender, *frames)
        finally:
            appender.close()

    return asyncio.run(append())


async def added(appender: FrameAppender, *frames: Frame) -> list[str]:
    outcome: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()

    def done(found: list[str] | RedisUnavailable) -> None:
        if isinstance(found, RedisUnavailable):
            outcome.set_exception(found)
        else:
            outcome.set_result(found)

    appender.append(frames, done)
    return await outcome


def frame(seq: int, *, client: str = "c0ffee00", agent: int = 1, body: bytes | None = None, **rest) -> Frame:
    return Frame(agent, "w1", "builder", client, seq, make_body(10.0) if body is None else body, **rest)


def entries() -> int:
    return connection().xlen(ingest.STREAM)


def test_it_adds_a_frame_once(redis_server):
    assert [add(1), add(1), add(2), add(2), add(1)] == [
        "added",
        "duplicate",
        "added",
        "duplicate",
        "duplicate",
    ]
    assert entries() == 2


def test_clients_and_agents_number_their_frames_for_themselves(redis_server):
    assert add(1) == add(1, client="deadbeef") == add(1, agent=2) == "added"


def test_a_frame_that_failed_may_come_after_later_ones(redis_server):
    assert [add(1), add(3), add(4), add(2), add(2)] == ["added"] * 4 + ["duplicate"]


def test_any_order_within_the_window_adds_each_frame_once(redis_server):
    shuffled = random.Random(7)
    sent: list[int] = []
    for first in range(1, 400, 8):
        window = list(range(first, first + 8)) * 2
        shuffled.shuffle(window)
        sent += window

    outcomes = add_all(*(frame(seq) for seq in sent))

    assert outcomes.count("added") == entries() == len(set(sent))


def test_numbers_may_be_as_large_as_the_wire_allows(redis_server):
    assert [add(2**53 - 2), add(2**53 - 1), add(2**53 - 2), add(2**53 - 1)] == ["added"] * 2 + [
        "duplicate"
    ] * 2


def test_what_was_seen_survives_a_crash_of_redis(redis_server):
    add(1)
    redis_server.kill()
    redis_server.start()

    assert add(1) == "duplicate"
    assert entries() == 1


def test_what_was_seen_is_forgotten_some_day(redis_server):
    add(1)

    assert 0 < connection().ttl("yard:seq:1:c0ffee00") <= ingest.SEEN_SECONDS


def test_a_frame_without_samples_adds_no_entry(redis_server):
    assert add(1, body=b"") == "added"
    assert add(1, body=b"") == "duplicate"
    assert entries() == 0


def test_it_refuses_when_the_stream_is_full_and_takes_the_frame_later(redis_server):
    connection().set(ingest.BYTES_IN, ingest.MAX_BYTES + 1)
    assert add(1) == "full"
    with pytest.raises(StreamFull, match="runtelemetry"):
        ingest.append_readings([Reading(1, "w1", "builder", 0.0, 1, 0.0)])
    assert entries() == 0

    connection().set(ingest.BYTES_OUT, ingest.MAX_BYTES + 1)
    assert add(1) == "added"


def test_it_says_that_redis_is_away(settings):
    settings.REDIS_URL = "unix:///nowhere/redis.sock"
    with pytest.raises(RedisUnavailable):
        add(1)


def test_it_keeps_what_agents_say_they_do_until_they_end(redis_server):
    add(1, said=Said(5.0, now="compiling é", state="busy"))
    add(2)
    add(3, said=Said(7.0, state="waiting"))
    add(1, agent=2, body=b"", said=Said(6.0, state="idle"))

    assert ingest.read_now([1, 2, 3]) == {
        1: AgentNow("compiling é", "waiting", 7.0),
        2: AgentNow("", "idle", 6.0),
    }

    ingest.forget(1)
    assert set(ingest.read_now([1, 2])) == {2}
    assert ingest.read_now([]) == {}


def test_words_that_outlived_their_agent_are_dropped_some_day(redis_server):
    add(1, said=Said(100.0, now="long ago"))
    add(1, agent=2, said=Said(300.0, now="lately"))

    assert ingest.forget_silent(before=200.0) == 1
    assert set(ingest.read_now([1, 2])) == {2}


def test_readings_go_to_the_same_stream_in_bounded_entries(redis_server):
    ingest.append_readings([Reading(pk, "w1", "builder", 0.0, pk, 0.5) for pk in range(450)])
    ingest.append_readings([])

    assert entries() == 3


def test_an_event_loop_adds_many_frames_in_one_round_trip(redis_server):
    async def scenario() -> list[list[str]]:
        appender = FrameAppender()
        try:
            frames = [Frame(1, "w1", "builder", "c0ffee00", seq, make_body(1.0)) for seq in (1, 2, 2, 3)]
            first = await added(appender, *frames)
            redis_server.client().script_flush()
            return [first, await added(appender, *frames)]
        finally:
            appender.close()

    assert asyncio.run(scenario()) == [["added", "added", "duplicate", "added"], ["duplicate"] * 4]
    assert entries() == 3
