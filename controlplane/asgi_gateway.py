"""The gateway process: the agents' websocket and nothing else, so that neither it nor the pages slow the other."""

import os
from collections.abc import Awaitable, Callable
from typing import Any

import django
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "controlplane.settings")
django.setup()

# Only now: these read models.
from daphne.ws_protocol import WebSocketProtocol  # noqa: E402

from apps.gateway.routing import SOCKETS  # noqa: E402
from controlplane import lean_sockets  # noqa: E402
from controlplane.doors import refuse_open_door  # noqa: E402

refuse_open_door(settings.SWARMYARD_GATEWAY_BIND)
lean_sockets.use()

# Daphne refuses a message above 1 MiB by its header, before it comes. By default it then cuts the connection, and
# the client can't tell why; this way it closes with 1009 and throws away what still arrives.
WebSocketProtocol.failByDrop = False  # type: ignore[attr-defined]

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await SOCKETS.get(scope["path"], _no_such_socket)(scope, receive, send)
    elif scope["type"] == "http":
        await _no_pages(send)


async def _no_such_socket(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    await send({"type": "websocket.close"})


async def _no_pages(send: Send) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 404, "headers": headers})
    await send({"type": "http.response.body", "body": b"Only agents' websockets are served here.\n"})
