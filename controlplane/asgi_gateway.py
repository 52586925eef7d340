"""The gateway process: the doors of agents and nothing else, so that neither they nor the pages slow the other."""

import os
from collections.abc import Awaitable, Callable
from typing import Any

import django
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "controlplane.settings")
django.setup()

# Only now: these read models.
from daphne.http_protocol import WebRequest  # noqa: E402
from daphne.ws_protocol import WebSocketProtocol  # noqa: E402

from apps.gateway.http import MAX_BODY_BYTES, answer  # noqa: E402
from apps.gateway.routing import DOORS, SOCKETS  # noqa: E402
from controlplane import lean_sockets  # noqa: E402
from controlplane.doors import refuse_open_door  # noqa: E402

refuse_open_door(settings.SWARMYARD_GATEWAY_BIND)
lean_sockets.use()

# Daphne refuses a message above 1 MiB by its header, before it comes. By default it then cuts the connection, and
# the client can't tell why; this way it closes with 1009 and throws away what still arrives.
WebSocketProtocol.failByDrop = False  # type: ignore[attr-defined]


def _keep_of_a_body(request: Any, data: bytes) -> None:
    """Daphne writes a whole body to disk before an application sees it. So what no door takes is let go of here, but
    for the one byte that shows that there was more."""
    room = MAX_BODY_BYTES + 1 - request.content.tell()
    if room > 0:
        request.content.write(data[:room])


WebRequest.handleContentChunk = _keep_of_a_body  # type: ignore[method-assign]

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await SOCKETS.get(scope["path"], _no_such_socket)(scope, receive, send)
    elif scope["type"] == "http":
        await DOORS.get(scope["path"], _no_pages)(scope, receive, send)


async def _no_such_socket(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    await send({"type": "websocket.close"})


async def _no_pages(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    text = b"Only agents are served here: see docs/reference/wire.md and otlp.md.\n"
    await answer(send, 404, text, "text/plain; charset=utf-8")
