"""The websocket of an open page: says what it shows, acknowledges frames, and is told what changed."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from channels.db import database_sync_to_async
from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest

from apps.access.roles import role_of
from apps.console.catalogue import REGIONS
from apps.console.live import Pusher, Viewer
from apps.console.regions import View
from apps.events.domain.actor import Role

SIGNED_OUT = 4401
FOREIGN_ORIGIN = 4403
BAD_MESSAGE = 4400
TOO_MANY = 4429  # different views are open in all: this page polls, and tries again later
ROLE_CHANGED = 3012  # the page connects again and is rendered for its new role
RECHECK_SECONDS = 15.0
MAX_MESSAGE = 16_384
MAX_REGIONS = 20

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

pusher: Pusher | None = None


def shared_pusher() -> Pusher:
    """The one of this process; made inside the event loop that it belongs to."""
    global pusher
    if pusher is None:
        pusher = Pusher()
    return pusher


async def console_socket(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application of the path. Plain, as a Channels consumer starts tasks for every message."""
    await receive()
    await send({"type": "websocket.accept"})
    page = OpenPage(scope["session"], send)
    if not is_same_origin(scope["headers"]):
        await page.close(FOREIGN_ORIGIN)
    else:
        page.role = await database_sync_to_async(role_in)(page.session)
        if page.role is None:
            await page.close(SIGNED_OUT)
    await page.run(receive)


class OpenPage:
    def __init__(self, session: SessionBase, send: Send) -> None:
        self.session = session
        self.send = send
        self.role: Role | None = None
        self.closed = False
        self.viewer = Viewer(self.send_text, self.close)

    async def run(self, receive: Receive) -> None:
        """Until the page has gone, and past our own close, as what still comes would pile up."""
        recheck = None
        if not self.closed:
            shared_pusher().join(self.viewer)
            recheck = asyncio.create_task(self.keep_checking())
        try:
            while (message := await receive())["type"] != "websocket.disconnect":
                if not self.closed:
                    await self.take(message.get("text"))
        finally:
            if recheck is not None:
                recheck.cancel()
                shared_pusher().leave(self.viewer)

    async def send_text(self, text: str) -> None:
        if not self.closed:
            await self.send({"type": "websocket.send", "text": text})

    async def close(self, code: int) -> None:
        if not self.closed:
            self.closed = True
            await self.send({"type": "websocket.close", "code": code})

    async def take(self, text: str | None) -> None:
        message = parsed(text)
        if message is None:
            await self.close(BAD_MESSAGE)
            return
        if "ack" in message:
            self.viewer.acknowledge(message["ack"])
        if "pause" in message:
            self.pause(bool(message["pause"]))
        if "show" in message:
            await self.show(message["show"])

    def pause(self, wanted: bool) -> None:
        if wanted:
            self.viewer.paused = True
        else:
            shared_pusher().resume(self.viewer)

    async def show(self, addresses: Any) -> None:
        assert self.role is not None
        views = views_of(addresses, self.role)
        if views is None:
            await self.close(BAD_MESSAGE)
        elif not shared_pusher().show(self.viewer, views):
            await self.close(TOO_MANY)

    async def keep_checking(self) -> None:
        """Ends the connection soon after its session was ended, or its person's role changed."""
        while True:
            await asyncio.sleep(RECHECK_SECONDS)
            role = await database_sync_to_async(role_in)(fresh(self.session))
            if role != self.role:
                await self.close(SIGNED_OUT if role is None else ROLE_CHANGED)
                return


def role_in(session: SessionBase) -> Role | None:
    """The role of whoever the session belongs to; None when it has ended or has no role."""
    request = HttpRequest()
    request.session = session
    return role_of(get_user(request))


def fresh(session: Any) -> SessionBase:
    """The session as it is stored now (the one of the connection was read when it was made)."""
    return type(session._wrapped if hasattr(session, "_wrapped") else session)(session.session_key)


def is_same_origin(headers: list[tuple[bytes, bytes]]) -> bool:
    """The allowed-hosts check before this looks at names alone: a page on another port of this machine has the same
    cookies, so the port must be ours too, or the origin be trusted by CSRF_TRUSTED_ORIGINS."""
    values = {name: value.decode("latin1") for name, value in headers if name in (b"origin", b"host")}
    origin = values.get(b"origin", "")
    return urlsplit(origin).netloc == values.get(b"host") or origin in settings.CSRF_TRUSTED_ORIGINS


def parsed(text: str | None) -> dict[str, Any] | None:
    if text is None or len(text) > MAX_MESSAGE:
        return None
    try:
        message = json.loads(text)
    except ValueError:
        return None
    return message if isinstance(message, dict) else None


def views_of(addresses: Any, role: Role) -> list[View] | None:
    """None when the list isn't one that a page of ours would send."""
    if not isinstance(addresses, list) or len(addresses) > MAX_REGIONS:
        return None
    views = []
    for address in addresses:
        name, _, query = str(address).partition("?")
        if name not in REGIONS:
            return None
        views.append(REGIONS[name].view(dict(parse_qsl(query)), role))
    return views
