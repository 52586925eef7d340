"""A webhook on loopback that answers as a test wants, and keeps what it was sent."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Webhook:
    """`status` is what it answers; 0: nothing at all. `location` is where a redirect leads. `piece` is a part of its
    body, sent again and again with `pause` seconds between, without end."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.status = 200
        self.location = ""
        self.piece = b""
        self.pause = 0.0
        self.got: list[dict[str, object]] = []
        self.asked = 0
        self.sent = 0
        self.over = threading.Event()
        self.server = ThreadingHTTPServer((host, 0), self._handler())
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        host, port = self.server.server_address[:2]
        return f"json://{host}:{port}/hook"

    @property
    def http(self) -> str:
        return self.url.replace("json", "http", 1)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.asked += 1
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if hook.status == 0:
                    hook.over.wait(60)
                    return
                if hook.status == 200:
                    hook.got.append(json.loads(body))
                self.send_response(hook.status)
                if hook.location:
                    self.send_header("Location", hook.location)
                if not hook.piece:
                    self.send_header("Content-Length", "0")
                self.end_headers()
                self._go_on()

            def _go_on(self) -> None:
                with suppress(OSError):  # the other side has hung up
                    while hook.piece and not hook.over.wait(hook.pause):
                        self.wfile.write(hook.piece)
                        hook.sent += len(hook.piece)

            def do_GET(self) -> None:
                hook.asked += 1
                self.send_response(200)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        return Handler


@contextmanager
def running(host: str = "127.0.0.1") -> Iterator[Webhook]:
    hook = Webhook(host)
    hook.thread.start()
    try:
        yield hook
    finally:
        hook.over.set()
        hook.server.shutdown()
        hook.server.server_close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
