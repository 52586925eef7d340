"""One script over one connection: its answers, and what becomes of a call when the other end breaks."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

import pytest

from apps.lib import script_link
from apps.lib.redis import RedisUnavailable
from apps.lib.script_link import ScriptLink

SCRIPT = "return ARGV[1] .. redis.call('INCR', KEYS[1])"


async def called(link: ScriptLink, *arguments: str) -> bytes:
    outcome: asyncio.Future[bytes | RedisUnavailable] = asyncio.get_running_loop().create_future()
    link.call(arguments, outcome.set_result)
    answer = await asyncio.wait_for(outcome, 60)
    if isinstance(answer, RedisUnavailable):
        raise answer
    return answer


def linked(scenario: Callable[[ScriptLink], Awaitable[None]], script: str = SCRIPT) -> None:
    async def run() -> None:
        link = ScriptLink(script, ["yard:test"])
        try:
            await scenario(link)
        finally:
            link.close()

    asyncio.run(run())


def test_it_answers_call_after_call(redis_server):
    async def scenario(link: ScriptLink) -> None:
        assert [await called(link, word) for word in ("a", "b", "é" * 100_000)] == [
            b"a1",
            b"b2",
            ("é" * 100_000 + "3").encode(),
        ]

    linked(scenario)


def test_a_script_that_was_forgotten_is_sent_again(redis_server):
    async def scenario(link: ScriptLink) -> None:
        await called(link, "a")
        redis_server.client().script_flush()
        assert await called(link, "b") == b"b2"

    linked(scenario)


def test_there_is_one_call_at_a_time(redis_server):
    async def scenario(link: ScriptLink) -> None:
        link.call(["a"], lambda answer: None)
        with pytest.raises(RuntimeError, match="one call"):
            link.call(["b"], lambda answer: None)

    linked(scenario)


def test_an_error_of_the_script_leaves_the_connection(redis_server):
    async def scenario(link: ScriptLink) -> None:
        redis_server.client().set("yard:test", "no number")
        with pytest.raises(RedisUnavailable, match="refuses"):
            await called(link, "a")
        redis_server.client().delete("yard:test")
        assert await called(link, "a") == b"a1"

    linked(scenario)


def test_arguments_that_redis_cannot_take_are_no_call(redis_server):
    async def scenario(link: ScriptLink) -> None:
        with pytest.raises(TypeError):
            await called(link, ["no", "argument"])  # type: ignore[arg-type]
        assert await called(link, "a") == b"a1"

    linked(scenario)


def test_it_comes_back_after_redis_did(redis_server):
    async def scenario(link: ScriptLink) -> None:
        assert await called(link, "a") == b"a1"
        redis_server.kill()
        with pytest.raises(RedisUnavailable):
            await called(link, "a")
        with pytest.raises(RedisUnavailable):
            await called(link, "a")
        redis_server.start()
        assert await called(link, "a") == b"a2"

    linked(scenario)


def test_a_call_without_an_answer_ends(redis_server, monkeypatch):
    monkeypatch.setattr(script_link, "READ_SECONDS", 0.3)

    async def scenario(link: ScriptLink) -> None:
        await called(link, "a")
        os.kill(redis_server.process.pid, signal.SIGSTOP)
        try:
            with pytest.raises(RedisUnavailable, match="no answer within"):
                await called(link, "a")
            with pytest.raises(RedisUnavailable):  # while it connects
                await called(link, "a")
        finally:
            os.kill(redis_server.process.pid, signal.SIGCONT)
        monkeypatch.setattr(script_link, "READ_SECONDS", 60.0)
        assert (await called(link, "a")).startswith(b"a")

    linked(scenario)
