"""One websocket to the gateway, driven by the thread that owns it.

It stands on the protocol core of `websockets` without its input and output: one thread a client instead of
three, and no asyncio, which would add 50 ms to every start.
"""

from __future__ import annotations

import select
import socket
import time

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus, InvalidURI
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import WebSocketURI, parse_uri

LONGEST_REPLY = 64 * 1024
CONNECT_TIMEOUT = 5.0
SEND_TIMEOUT = 10.0


class ConnectionFailed(Exception):
    """The websocket can't be opened, broke, or was closed. `code`: close code or HTTP status, or None."""

    def __init__(self, reason: str, code: int | None = None) -> None:
        super().__init__(reason)
        self.code = code


class Connection:
    def __init__(self, url: str, token: str, wake_fd: int) -> None:
        self._wake_fd = wake_fd
        self._parts: list[bytes] = []
        self._is_text = False
        deadline = time.monotonic() + CONNECT_TIMEOUT
        try:
            address = parse_uri(url)
            self._socket = open_socket(address)
        except (OSError, ValueError, InvalidURI) as error:
            raise ConnectionFailed(str(error) or type(error).__name__) from error
        try:
            self._protocol = ClientProtocol(address, max_size=LONGEST_REPLY)
            self._shake_hands(token, deadline)
        except BaseException:
            self._socket.close()
            raise

    def send(self, message: bytes) -> None:
        self._require_open()
        self._protocol.send_binary(message)
        self._flush()

    def ping(self) -> None:
        self._require_open()
        self._protocol.send_ping(b"")
        self._flush()

    def receive(self, timeout: float) -> tuple[list[bytes | str], bool]:
        """Messages that arrived within `timeout` seconds, and whether anything was heard at all.

        A byte on the wake descriptor ends the wait early.
        """
        messages = self._take_messages()  # the first can arrive in one packet with the handshake
        if messages:
            return messages, True
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        poller.register(self._wake_fd, select.POLLIN)
        ready = [fd for fd, _ in poller.poll(max(0, timeout) * 1000)]
        if self._socket.fileno() not in ready:
            return [], False
        self._feed()
        while getattr(self._socket, "pending", int)():  # TLS can hold bytes that no poll sees
            self._feed()
        return self._take_messages(), True

    def close(self) -> None:
        """Say goodbye, without waiting for the answer: what had to be acknowledged is."""
        try:
            if self._protocol.state is State.OPEN:
                self._protocol.send_close(1000)
                self._flush()
        except ConnectionFailed:
            pass
        finally:
            self._socket.close()

    def _shake_hands(self, token: str, deadline: float) -> None:
        request = self._protocol.connect()
        request.headers["Authorization"] = f"Bearer {token}"
        self._protocol.send_request(request)
        self._flush()
        while self._protocol.state is State.CONNECTING:
            self._socket.settimeout(max(0.01, deadline - time.monotonic()))
            self._feed()
            self._check_handshake()
        self._socket.settimeout(SEND_TIMEOUT)

    def _check_handshake(self) -> None:
        error = self._protocol.handshake_exc
        if isinstance(error, InvalidStatus):
            raise ConnectionFailed(f"the gateway answered {error}", error.response.status_code) from error
        if error is not None:
            raise ConnectionFailed(f"no websocket at this address: {error}") from error

    def _take_messages(self) -> list[bytes | str]:
        frames = [event for event in self._protocol.events_received() if isinstance(event, Frame)]
        messages = [message for frame in frames if (message := self._assemble(frame)) is not None]
        # What arrived before the end still counts: an acknowledgement can share a packet with a close.
        if not messages:
            self._require_open()
        return messages

    def _require_open(self) -> None:
        if self._protocol.state is not State.OPEN:
            raise self._end()

    def _assemble(self, frame: Frame) -> bytes | str | None:
        if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return None
        if frame.opcode is not Opcode.CONT:
            self._parts = []
            self._is_text = frame.opcode is Opcode.TEXT
        self._parts.append(bytes(frame.data))
        if not frame.fin:
            return None
        whole = b"".join(self._parts)
        return whole.decode(errors="replace") if self._is_text else whole

    def _feed(self) -> None:
        """Hand the protocol what the socket has, and send what it answers (pongs, closes)."""
        try:
            data = self._socket.recv(65536)
        except OSError as error:
            raise ConnectionFailed(str(error) or "no answer in time") from error
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
        try:
            self._flush()
        except ConnectionFailed:
            if not data:
                return  # the end of the stream says more than the failure to answer it
            raise

    def _flush(self) -> None:
        try:
            for data in self._protocol.data_to_send():
                if data:
                    self._socket.sendall(data)
                else:
                    self._socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise ConnectionFailed(f"sending failed: {error}") from error

    def _end(self) -> ConnectionFailed:
        protocol = self._protocol
        if protocol.close_rcvd is not None:
            received = protocol.close_rcvd
            return ConnectionFailed(
                f"the gateway closed with {received.code} {received.reason}".rstrip(), received.code
            )
        problem = protocol.parser_exc
        return ConnectionFailed(
            f"the gateway sent no websocket frame: {problem}" if problem else "the connection broke"
        )


def open_socket(address: WebSocketURI) -> socket.socket:
    plain = socket.create_connection((address.host, address.port), timeout=CONNECT_TIMEOUT)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if not address.secure:
        return plain
    import ssl  # 10 ms, and most gateways are on loopback

    try:
        return ssl.create_default_context().wrap_socket(plain, server_hostname=address.host)
    except BaseException:
        plain.close()
        raise
