"""The socket without a server: what a server can't be brought to show at will."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from django.db import OperationalError

from apps.fleet.tokens import TokenHolder
from apps.gateway import consumer, writer
from apps.gateway.consumer import AgentDoor
from apps.gateway.writer import FrameWriter
from apps.lib.direct import DIRECT
from apps.telemetry.ingest import Frame

HOLDER = TokenHolder(1, "w1/agent-01", "w1", "coder")


class Peer:
    """The other end of an ASGI websocket, which also says what the gateway says past ASGI."""

    def __init__(self) -> None:
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.incoming.put_nowait({"type": "websocket.connect"})
        self.sent: list[dict[str, Any]] = []

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        if message["type"] == "websocket.close":
            self.incoming.put_nowait({"type": "websocket.disconnect"})

    def hear(self, listener: Callable[[bytes | str], None]) -> None:
        self.listener = listener

    def say(self, *messages: bytes | str) -> None:
        self.sent.extend({"type": "websocket.send", "bytes": message} for message in messages)

    def close(self, code: int) -> None:
        self.sent.append({"type": "websocket.close", "code": code})
        self.incoming.put_nowait({"type": "websocket.disconnect"})

    def meet(self) -> None:
        """Goes to the door, until the end."""
        headers = [(b"authorization", b"Bearer x")]
        scope = {"type": "websocket", "headers": headers, "extensions": {DIRECT: self}}
        asyncio.run(asyncio.wait_for(AgentDoor(FrameWriter())(scope, self.incoming.get, self.send), 30))

    @property
    def said(self) -> list[dict[str, Any]]:
        return [msgspec.msgpack.decode(message["bytes"]) for message in self.sent if "bytes" in message]


@pytest.fixture(autouse=True)
def often_rechecked(monkeypatch):
    monkeypatch.setattr(consumer, "RECHECK_SECONDS", 0.01)


def answers(monkeypatch, *found: TokenHolder | Exception | None) -> list[str]:
    """Lets these be what the look-ups of a token find, the last one for good; gives the tokens asked for."""
    asked: list[str] = []

    async def find_agent(token: str) -> TokenHolder | None:
        asked.append(token)
        answer = found[min(len(asked), len(found)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(consumer, "find_agent", find_agent)
    return asked


def test_it_says_that_the_database_is_away(monkeypatch):
    answers(monkeypatch, OperationalError("gone"))
    peer = Peer()

    peer.meet()

    assert peer.said[0]["code"] == "unavailable"
    assert peer.sent[-1] == {"type": "websocket.close", "code": 1000}


def test_a_database_that_is_away_closes_no_socket_and_a_dead_token_does(monkeypatch):
    asked = answers(monkeypatch, HOLDER, OperationalError("gone"), OperationalError("gone"), HOLDER, None)
    peer = Peer()

    peer.meet()

    assert asked == ["x"] * 5
    assert "hello" in peer.said[0]
    assert peer.sent[-1] == {"type": "websocket.close", "code": 4401}


def test_what_comes_after_the_close_is_thrown_away(monkeypatch):
    answers(monkeypatch, HOLDER)
    peer = Peer()
    for _ in range(3):
        peer.incoming.put_nowait({"type": "websocket.receive", "bytes": b"\xc1"})

    peer.meet()

    assert [message.get("code") for message in peer.said] == [None, "bad_frame"]
    assert sum(message["type"] == "websocket.close" for message in peer.sent) == 1


def test_what_waits_for_redis_is_bounded(monkeypatch, redis_server):
    monkeypatch.setattr(writer, "MAX_WAITING_BYTES", 100)

    async def scenario() -> list[str]:
        frames = FrameWriter()
        outcomes = [frames.written(Frame(1, "w1", "coder", "c0ffee00", seq, b"x" * 60)) for seq in (1, 2)]
        try:
            return [await outcome for outcome in outcomes]
        finally:
            frames.close()

    assert asyncio.run(scenario()) == ["added", "away"]


def test_a_writer_that_meets_the_unexpected_still_answers(monkeypatch, redis_server, caplog):
    def breaks(*_: object) -> None:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(writer.FrameAppender, "append", breaks)

    async def scenario() -> str:
        return await FrameWriter().written(Frame(1, "w1", "coder", "c0ffee00", 1, b"x"))

    assert asyncio.run(scenario()) == "away"
    assert "no such thing" in caplog.text
