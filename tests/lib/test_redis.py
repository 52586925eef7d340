import asyncio
import os
import signal
import time

import pytest

from apps.lib.redis import RedisUnavailable, async_connection, connection, ping, typed_errors


def test_it_answers_a_ping(redis_server):
    ping()


def test_it_says_what_to_do_when_redis_is_away(settings):
    settings.REDIS_URL = "unix:///nowhere/redis.sock"

    with pytest.raises(RedisUnavailable, match=r"manage\.py up") as caught:
        ping()

    assert "REDIS_URL" in caught.value.hint


def test_it_tells_no_password(settings):
    settings.REDIS_URL = "redis://:s3cret@127.0.0.1:1/0"

    with pytest.raises(RedisUnavailable) as caught:
        ping()

    assert "s3cret" not in caught.value.hint
    assert "127.0.0.1:1" in caught.value.hint


def test_it_does_not_wait_for_a_server_that_hangs(redis_server):
    ping()
    os.kill(redis_server.process.pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        with pytest.raises(RedisUnavailable):
            ping()
        assert time.monotonic() - started < 3
    finally:
        os.kill(redis_server.process.pid, signal.SIGCONT)


def test_a_connection_survives_a_restart_of_redis(redis_server):
    connection().set("yard:x", "1")

    redis_server.kill()
    redis_server.start()

    assert connection().get("yard:x") == b"1"


def test_an_event_loop_gets_a_connection_of_its_own(redis_server):
    async def scenario() -> bytes | None:
        client = async_connection()
        try:
            await client.set("yard:x", "2")
            return await client.get("yard:x")
        finally:
            await client.aclose()

    assert asyncio.run(scenario()) == b"2"


@pytest.mark.parametrize("option", ["maxmemory", "min-replicas-to-write"])
def test_a_server_that_refuses_to_write_is_told_as_such(redis_server, option):
    client = redis_server.client()
    client.config_set(option, "1")
    try:
        with pytest.raises(RedisUnavailable, match="refuses"), typed_errors():
            connection().set("yard:x", "1")
    finally:
        client.config_set(option, "0")
