"""The HTTP doors without a server: what a server can't be brought to show at will."""

import asyncio
from typing import Any

import msgspec
import pytest
from django.db import OperationalError

from apps.fleet.tokens import TokenHolder
from apps.gateway import callers
from apps.gateway.callers import MAX_UNDER_WAY, Callers
from apps.gateway.frames import WINDOW
from apps.gateway.http import Refused
from apps.gateway.otlp.door import METRICS, ExportDoor
from apps.gateway.samples import SamplesDoor
from apps.gateway.writer import FrameWriter
from apps.telemetry.ingest_measures import MeasureAppender

HEADERS = [(b"authorization", b"Bearer x"), (b"content-type", b"application/json")]
DOORS = [
    lambda: SamplesDoor(FrameWriter(), Callers()),
    lambda: ExportDoor(METRICS, Callers(), MeasureAppender()),
]
SCOPE = {"type": "http", "method": "POST", "headers": HEADERS}


def holder(pk: int = 1) -> TokenHolder:
    return TokenHolder(pk, f"w1/agent-{pk:02}", "w1", "coder")


def look_ups(monkeypatch, found: TokenHolder | Exception | None) -> list[str]:
    """Lets this be what every look-up finds; gives the tokens that were looked up."""
    asked: list[str] = []

    async def find_agent(token: str) -> TokenHolder | None:
        asked.append(token)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(callers, "find_agent", find_agent)
    return asked


def post(door, *messages: dict[str, Any]) -> list[dict[str, Any]]:
    """What the door sends for a request that comes in these messages."""
    sent: list[dict[str, Any]] = []
    incoming = iter(messages)

    async def receive() -> dict[str, Any]:
        return next(incoming)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(asyncio.wait_for(door(SCOPE, receive, send), 20))
    return sent


@pytest.mark.parametrize("make_door", DOORS)
def test_it_asks_to_come_back_while_the_database_is_away(monkeypatch, make_door):
    look_ups(monkeypatch, OperationalError("gone"))
    start, body = post(make_door(), {"type": "http.request", "body": b"{}"})

    assert (start["status"], dict(start["headers"])[b"retry-after"]) == (503, b"5")
    assert b"database is away" in body["body"]


@pytest.mark.parametrize("make_door", DOORS)
def test_nobody_is_answered_who_hung_up(monkeypatch, make_door):
    look_ups(monkeypatch, holder())
    assert (
        post(
            make_door(),
            {"type": "http.request", "body": b"{", "more_body": True},
            {"type": "http.disconnect"},
        )
        == []
    )


def test_requests_of_an_agent_are_bounded():
    known = Callers()
    under_way = [known.at_work(holder()) for _ in range(WINDOW)]
    for each in under_way:
        each.__enter__()
    with pytest.raises(Refused) as refused, known.at_work(holder()):
        pass
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (429, "1")

    with known.at_work(holder(2)):
        pass
    under_way[0].__exit__(None, None, None)
    with known.at_work(holder()):
        pass


def test_requests_of_all_agents_are_bounded():
    known = Callers()
    under_way = [known.at_work(holder(pk)) for pk in range(MAX_UNDER_WAY)]
    for each in under_way:
        each.__enter__()
    with pytest.raises(Refused), known.at_work(holder(MAX_UNDER_WAY)):
        pass


def test_a_token_is_looked_up_again_after_a_while(monkeypatch):
    asked = look_ups(monkeypatch, holder())
    known = Callers()
    for _ in range(3):
        assert asyncio.run(known.admit(SCOPE)) == holder()
    assert asked == ["x"]

    monkeypatch.setattr(callers, "BELIEVED_SECONDS", -1.0)
    known = Callers()
    for _ in range(3):
        asyncio.run(known.admit(SCOPE))
    assert asked == ["x"] * 4


def test_a_token_that_is_none_is_looked_up_each_time(monkeypatch):
    asked = look_ups(monkeypatch, None)
    for _ in range(2):
        with pytest.raises(Refused, match="No running agent"):
            asyncio.run(Callers().admit(SCOPE))
    assert len(asked) == 2


def test_a_refusal_is_in_the_kind_that_was_asked_in(monkeypatch):
    look_ups(monkeypatch, holder())
    start, body = post(SamplesDoor(FrameWriter(), Callers()), {"type": "http.request", "body": b"no frame"})
    assert (start["status"], msgspec.json.decode(body["body"])["code"]) == (400, "bad_frame")
