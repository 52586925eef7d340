"""The door of open pages: origin, session, role, and what it is told."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings as django_settings
from django.db import connections
from django.test import Client

from apps.access.models import Membership
from apps.builds.actions import give_up
from apps.console import consumer, live
from apps.events.domain.actor import Role
from apps.events.hints import publish
from apps.fleet.models import Agent
from controlplane.asgi import application
from tests.factories import make_build, make_host, make_member, make_user, make_wave, now

pytestmark = pytest.mark.django_db(transaction=True)

PATH = "/ws/v1/console/"


def cookie_of(name: str = "otto", role: Role | None = Role.OPERATOR) -> str:
    client = Client()
    client.force_login(make_user(name, role))
    return (
        f"{django_settings.SESSION_COOKIE_NAME}={client.cookies[django_settings.SESSION_COOKIE_NAME].value}"
    )


def socket(
    cookie: str = "", origin: str | None = "http://localhost", host: str = "localhost"
) -> WebsocketCommunicator:
    headers = [(b"host", host.encode())]
    headers += [(b"origin", origin.encode())] if origin is not None else []
    headers += [(b"cookie", cookie.encode())] if cookie else []
    return WebsocketCommunicator(application, PATH, headers)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def play() -> None:
        try:
            await scenario()
        finally:
            if consumer.pusher:
                for viewer in list(consumer.pusher.viewers):
                    consumer.pusher.leave(viewer)
                consumer.pusher._thread.shutdown()
            await sync_to_async(connections.close_all)()

    asyncio.run(play())


async def closed_with(connection: WebsocketCommunicator) -> int:
    message = await connection.receive_output(5)
    while message["type"] != "websocket.close":
        message = await connection.receive_output(5)
    return int(message["code"])


async def frame_with(connection: WebsocketCommunicator, text: str) -> str:
    """The first frame that holds `text`; all before it are acknowledged."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        html = await connection.receive_from(5)
        await acknowledge(connection, html)
        if text in html:
            return html
    raise AssertionError(f"no frame held {text!r}")


async def acknowledge(connection: WebsocketCommunicator, html: str) -> None:
    number = int(html.split('data-frame="')[1].split('"')[0])
    await connection.send_to(json.dumps({"ack": number}))


@pytest.mark.parametrize("origin", ["http://evil.example", "null", None, "https://localhost.evil.example"])
def test_it_refuses_another_origin_before_it_looks_at_the_session(origin):
    cookie = cookie_of()

    async def scenario() -> None:
        accepted, _ = await socket(cookie, origin).connect()
        assert not accepted

    run(scenario)


def test_it_refuses_a_page_of_another_port_of_this_machine():
    cookie = cookie_of()

    async def scenario() -> None:
        connection = socket(cookie, "http://localhost:3000", host="localhost:8000")
        await connection.connect()
        assert await closed_with(connection) == 4403

    run(scenario)


@pytest.mark.parametrize("role", [None, "signed out"])
def test_it_tells_who_is_signed_out_or_has_no_role(role):
    cookie = "" if role == "signed out" else cookie_of("nobody", None)

    async def scenario() -> None:
        connection = socket(cookie)
        await connection.connect()
        assert await closed_with(connection) == 4401

    run(scenario)


def test_it_pushes_a_change_after_its_hint(redis_server):
    cookie = cookie_of()
    make_host()
    agent = make_member(make_wave("w1"))

    async def scenario() -> None:
        connection = socket(cookie)
        await connection.connect()
        await connection.send_to(json.dumps({"show": ["yard_waves", "menu?at=yard"]}))
        first = await frame_with(connection, 'id="yard_waves"')
        await sync_to_async(Agent.objects.filter(pk=agent.pk).update)(activity="committing")
        await sync_to_async(publish)("agent", agent.pk)

        pushed = await frame_with(connection, "committing")

        assert 'id="menu"' in first
        assert 'id="yard_waves"' not in pushed
        await connection.disconnect()

    run(scenario)


def test_it_pushes_a_build_that_has_ended(redis_server):
    cookie = cookie_of()
    build = make_build(make_member(make_wave("w1")), state="running", ended_at=None, exit_code=None)
    shown = [f"build_shown?pk={build.pk}", "builds_table?state=open", "menu?at=builds"]

    async def scenario() -> None:
        connection = socket(cookie)
        await connection.connect()
        await connection.send_to(json.dumps({"show": shown}))
        first = await frame_with(connection, 'id="build_shown"')
        await sync_to_async(give_up)(builds=[build], now=now())

        pushed = await frame_with(connection, "No build matches the filter")

        assert "under way" in first
        assert "gone without a word" in pushed
        await connection.disconnect()

    run(scenario)


def test_it_shows_a_viewer_no_buttons():
    cookie = cookie_of("vera", Role.VIEWER)
    make_host()
    make_member(make_wave("w1"))

    async def scenario() -> None:
        connection = socket(cookie)
        await connection.connect()
        await connection.send_to(json.dumps({"show": ["yard_waves"]}))

        assert "hx-post" not in await frame_with(connection, 'id="yard_waves"')
        await connection.disconnect()

    run(scenario)


@pytest.mark.parametrize(
    "message",
    [
        "{",
        "[]",
        json.dumps({"show": ["nothing"]}),
        json.dumps({"show": "menu"}),
        json.dumps({"show": ["menu"] * 21}),
        "x" * 20_000,
    ],
)
def test_it_closes_on_what_no_page_of_ours_would_send(message):
    cookie = cookie_of()

    async def scenario() -> None:
        connection = socket(cookie)
        await connection.connect()
        await connection.send_to(message)
        assert await closed_with(connection) == 4400

    run(scenario)


@pytest.mark.parametrize(
    ("change", "code"), [("sign out", 4401), ("lose the role", 4401), ("become a viewer", 3012)]
)
def test_it_looks_again_whether_the_session_still_holds(monkeypatch, change, code):
    monkeypatch.setattr(consumer, "RECHECK_SECONDS", 0.05)
    client = Client()
    user = make_user("otto", Role.OPERATOR)
    client.force_login(user)
    cookie = (
        f"{django_settings.SESSION_COOKIE_NAME}={client.cookies[django_settings.SESSION_COOKIE_NAME].value}"
    )

    def happen() -> None:
        if change == "sign out":
            client.post("/sign-out")
        elif change == "lose the role":
            Membership.objects.all().delete()
        else:
            Membership.objects.update(role=Role.VIEWER)

    async def scenario() -> None:
        connection = socket(cookie)
        await connection.connect()
        await sync_to_async(happen)()
        assert await closed_with(connection) == code

    run(scenario)


def test_it_stops_working_when_the_last_page_is_closed():
    cookie = cookie_of()

    async def scenario() -> None:
        connection = socket(cookie)
        await connection.connect()
        await connection.send_to(json.dumps({"show": ["menu"]}))
        await frame_with(connection, 'id="menu"')
        await connection.disconnect()

        assert consumer.pusher is not None
        assert consumer.pusher.viewers == set()
        assert consumer.pusher._tasks == []

    run(scenario)


@pytest.mark.parametrize(
    "name", ["SIGNED_OUT", "FOREIGN_ORIGIN", "BAD_MESSAGE", "TOO_MANY", "ROLE_CHANGED", "TRY_AGAIN"]
)
def test_it_closes_with_codes_that_an_application_may_use(name):
    """Of the others Daphne's websockets send none, and the socket stays."""
    assert 3000 <= getattr(consumer, name, getattr(live, name, 0)) <= 4999
