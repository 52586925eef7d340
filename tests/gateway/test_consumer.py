"""The socket without a server: what a server can't be brought to show at will."""

import asyncio
from typing import Any

import msgspec
import pytest
from django.db import OperationalError

from apps.fleet.tokens import TokenHolder
from apps.gateway import consumer, writer
from apps.gateway.consumer import AgentDoor
from apps.gateway.writer import FrameWriter
from apps.telemetry.ingest import Frame

HOLDER = TokenHolder(1, "w1/agent-01", "w1", "coder")
SCOPE = {"type": "websocket", "headers": [(b"authorization", b"Bearer x")]}


class Peer:
    """The other end of an ASGI websocket."""

    def __init__(self) -> None:
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.incoming.put_nowait({"type": "websocket.connect"})
        self.sent: list[dict[str, Any]] = []

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        if message["type"] == "websocket.close":
            self.incoming.put_nowait({"type": "websocket.disconnect"})

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

    asyncio.run(asyncio.wait_for(AgentDoor(FrameWriter())(SCOPE, peer.incoming.get, peer.send), 5))

    assert peer.said[0]["code"] == "unavailable"
    assert peer.sent[-1] == {"type": "websocket.close", "code": 1000}


def test_a_database_that_is_away_closes_no_socket_and_a_dead_token_does(monkeypatch):
    asked = answers(monkeypatch, HOLDER, OperationalError("gone"), OperationalError("gone"), HOLDER, None)
    peer = Peer()

    asyncio.run(asyncio.wait_for(AgentDoor(FrameWriter())(SCOPE, peer.incoming.get, peer.send), 5))

    assert asked == ["x"] * 5
    assert "hello" in peer.said[0]
    assert peer.sent[-1] == {"type": "websocket.close", "code": 4401}


def test_what_comes_after_the_close_is_thrown_away(monkeypatch):
    answers(monkeypatch, HOLDER)
    peer = Peer()
    for _ in range(3):
        peer.incoming.put_nowait({"type": "websocket.receive", "bytes": b"\xc1"})

    asyncio.run(asyncio.wait_for(AgentDoor(FrameWriter())(SCOPE, peer.incoming.get, peer.send), 5))

    assert [message.get("code") for message in peer.said] == [None, "bad_frame"]
    assert sum(message["type"] == "websocket.close" for message in peer.sent) == 1


def test_what_waits_for_redis_is_bounded(monkeypatch, redis_server):
    monkeypatch.setattr(writer, "MAX_WAITING_BYTES", 100)

    async def scenario() -> list[str]:
        frames = FrameWriter()
        outcomes = [frames.submit(Frame(1, "w1", "coder", "c0ffee00", seq, b"x" * 60)) for seq in (1, 2)]
        return [await outcome for outcome in outcomes]

    assert asyncio.run(scenario()) == ["added", "away"]


def test_a_writer_that_meets_the_unexpected_still_answers(monkeypatch, redis_server, caplog):
    async def breaks(*_: object) -> list[str]:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(writer.FrameAppender, "append", breaks)

    async def scenario() -> str:
        return await FrameWriter().submit(Frame(1, "w1", "coder", "c0ffee00", 1, b"x"))

    assert asyncio.run(scenario()) == "away"
    assert "no such thing" in caplog.text
