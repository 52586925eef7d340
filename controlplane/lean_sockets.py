"""Makes Daphne's websockets cheaper. What is done for each small message in what it stands on, and isn't any more:

- autobahn dresses up the words of a debug line in terminal colours for each read and each write, before it finds that
  nobody logs it;
- Twisted writes nothing at once: it asks the kernel to be told when the socket takes data, is told in the next turn of
  the loop, writes, and takes the question back. Mostly the socket would have taken it right away;
- autobahn looks at a message in a dozen calls, most of which are there for messages in fragments. Whole ones are taken
  here (`lean_frames`), and all else is left to it: handshakes, pings, fragments, closes, and whatever is wrong;
- Daphne puts a message into a queue for a coroutine. Who finds `DIRECT` among the extensions of its scope may have
  messages brought to a function instead.
"""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from autobahn.twisted import websocket as over_twisted
from autobahn.websocket import protocol
from daphne.server import Server
from daphne.ws_protocol import WebSocketProtocol

from apps.lib.direct import DIRECT, Message
from controlplane.lean_frames import BINARY, TEXT, framed, whole_messages

log = logging.getLogger(__name__)

BROKEN = 1011
MOST_UNREAD = (
    256 * 1024
)  # bytes that wait for one who doesn't read; it sends on and on, or it would wait for us

_open = WebSocketProtocol.onOpen
_hear_all = WebSocketProtocol.dataReceived
_pass_on = WebSocketProtocol.onMessage
_create_application = Server.create_application


def use() -> None:
    for module in (over_twisted, protocol):
        module.hltype = module.hlval = _plain  # type: ignore[attr-defined]
    WebSocketProtocol.onOpen = _open_and_write_at_once  # type: ignore[method-assign]
    WebSocketProtocol.dataReceived = _hear  # type: ignore[method-assign]
    WebSocketProtocol.onMessage = _bring  # type: ignore[method-assign]
    WebSocketProtocol.direct = None  # type: ignore[attr-defined]
    Server.create_application = _create_with_direct  # type: ignore[method-assign]


class DirectSocket:
    """As apps.lib.direct says."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._listener: Callable[[Message], None] | None = None

    def hear(self, listener: Callable[[Message], None]) -> None:
        self._listener = listener
        self._socket.direct = self

    def say(self, *messages: Message) -> None:
        if self._socket.state != WebSocketProtocol.STATE_OPEN:
            return
        transport = self._socket.transport
        if unread(transport) > MOST_UNREAD:
            log.warning("a websocket is cut off: it sends and doesn't read")
            transport.abortConnection()
            return
        transport.write(b"".join([_framed(message) for message in messages]))

    def close(self, code: int) -> None:
        if self._socket.state == WebSocketProtocol.STATE_OPEN:
            self._socket.serverClose(code=code)

    def bring(self, message: Message) -> None:
        if self._listener is None:
            return
        try:
            self._listener(message)
        except Exception:
            log.exception("a message of a websocket broke its listener")
            self.close(BROKEN)


def _framed(message: Message) -> bytes:
    return framed(message.encode(), TEXT) if isinstance(message, str) else framed(message, BINARY)


def _create_with_direct(self: Any, socket: Any, scope: dict[str, Any]) -> Any:
    if scope["type"] == "websocket":
        scope["extensions"] = {**scope.get("extensions", {}), DIRECT: DirectSocket(socket)}
    return _create_application(self, socket, scope)


def _hear(self: Any, data: bytes) -> None:
    if self.state == self.STATE_OPEN and _is_between_messages(self):
        messages, data = whole_messages(data, self.maxFramePayloadSize)
        for message in messages:
            self.onMessage(message, True)
    if data:
        _hear_all(self, data)


def _is_between_messages(self: Any) -> bool:
    """And no ping waits for its answer: autobahn wants to see that somebody is there."""
    return not (self.data or self.current_frame or self.inside_message or self.autoPingTimeoutCall)


def _bring(self: Any, payload: bytes, isBinary: bool) -> None:
    if self.direct is None or self.muted:
        _pass_on(self, payload, isBinary)
        return
    self.last_ping = time.time()  # as Daphne does it: who sends needs no ping
    self.direct.bring(payload if isBinary else payload.decode())


def unread(transport: Any) -> int:
    """Bytes that the kernel hasn't taken yet; 0 where that isn't told (TLS)."""
    return len(getattr(transport, "dataBuffer", b"")) + getattr(transport, "_tempDataLen", 0)


def _plain(value: Any, *_: Any, **__: Any) -> Any:
    """Formatted by the logger, when there is one."""
    return value


def _open_and_write_at_once(self: Any) -> None:
    _open(self)
    if hasattr(self.transport, "writeSomeData"):  # a socket itself, and nothing around it
        self.transport.write = partial(write_at_once, self.transport, self.transport.write)


def write_at_once(transport: Any, later: Any, data: bytes) -> None:
    """What the socket takes now; the rest, and all that must keep its order, by `later`, Twisted's own way."""
    waiting = transport.dataBuffer or transport._tempDataLen
    if data and transport.connected and not (waiting or transport.disconnecting or transport.TLS):
        taken = transport.writeSomeData(data)
        if isinstance(taken, int) and taken > 0:  # else Twisted finds out for itself what is wrong
            data = data[taken:]
            if not data:
                return
    later(data)
