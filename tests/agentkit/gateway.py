"""A gateway for tests: a real websocket server that keeps the rules of the wire format, or breaks them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http import HTTPStatus

from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve

from agentkit import wire

Behaviour = Callable[["Gateway", ServerConnection, wire.Frame], None]


class Gateway:
    """`samples` are what a stream would hold, `frames` every frame that arrived, resent ones too."""

    def __init__(self, *, port: int = 0, token: str = "secret", window: int = 8) -> None:
        self.samples: list[wire.Sample] = []
        self.frames: list[wire.Frame] = []
        self.payloads: dict[tuple[str, int], set[bytes]] = {}
        self.highest: dict[str, int] = {}
        self.connections = 0
        self.text_replies = False
        self.pace: float | None = None
        self.refuse_handshake: HTTPStatus | None = None
        self.refuse_close: tuple[int, str] | None = None
        self.greeting: Callable[[ServerConnection], None] | None = None
        self.behaviour: Behaviour = accept
        self.options: dict[str, object] = {}
        self.port = port
        self._token = token
        self._window = window
        self._lock = threading.Lock()
        self._server: Server | None = None

    def start(self) -> Gateway:
        self._server = serve(
            self._serve,
            "127.0.0.1",
            self.port,
            process_request=self._check,
            **self.options,  # type: ignore[arg-type]
        )
        self.port = self._server.socket.getsockname()[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws/v1/agents/"

    @property
    def notes(self) -> list[str]:
        return [sample.note for sample in self.samples]

    def store(self, frame: wire.Frame) -> None:
        with self._lock:
            if frame.seq > self.highest.get(frame.client, 0):
                self.highest[frame.client] = frame.seq
                self.samples += frame.samples

    def reply(self, connection: ServerConnection, message: dict[str, object]) -> None:
        connection.send(wire.encode(message, text=self.text_replies))

    def acknowledge(self, connection: ServerConnection, seq: int) -> None:
        pace = {} if self.pace is None else {"pace": self.pace}
        self.reply(connection, {"v": 1, "ack": seq, **pace})

    def _check(self, connection: ServerConnection, request: Request) -> Response | None:
        if self.refuse_handshake is not None:
            return Response(self.refuse_handshake, "No", Headers({"Content-Length": "0"}))
        return None

    def _serve(self, connection: ServerConnection) -> None:
        with self._lock:
            self.connections += 1
        assert connection.request is not None
        if connection.request.headers.get("Authorization") != f"Bearer {self._token}":
            connection.close(4401, "wrong token")
            return
        if self.refuse_close is not None:
            connection.close(*self.refuse_close)
            return
        if self.greeting is not None:
            self.greeting(connection)
        else:
            limits = {
                "agent": "w1/agent-01",
                "max_samples": 256,
                "max_bytes": 1 << 20,
                "window": self._window,
            }
            self.reply(connection, {"v": 1, "hello": limits})
        try:
            for message in connection:
                self._handle(connection, message)
        except (ConnectionClosed, OSError):
            pass

    def _handle(self, connection: ServerConnection, message: bytes | str) -> None:
        frame = wire.decode_frame(message)
        with self._lock:
            self.frames.append(frame)
            assert isinstance(message, bytes)
            self.payloads.setdefault((frame.client, frame.seq), set()).add(message)
        self.behaviour(self, connection, frame)


def accept(gateway: Gateway, connection: ServerConnection, frame: wire.Frame) -> None:
    gateway.store(frame)
    gateway.acknowledge(connection, frame.seq)


def never_answer(gateway: Gateway, connection: ServerConnection, frame: wire.Frame) -> None:
    pass


def break_off(connection: ServerConnection) -> None:
    """The network goes away: no close frame, no goodbye."""
    connection.socket.close()
