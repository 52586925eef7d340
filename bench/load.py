"""A lean generator of load: one thread, one epoll, many connections, and frames that leave when they are due.

It speaks two protocols with as little work as can be: the agents' websocket (frames encoded ahead, masked with a key
of zeros, which changes no byte) and HTTP POST over connections that stay open. An answer's lateness counts from when
its frame was *due*, so a server that holds a client up can't hide it.
"""

import base64
import os
import secrets
import select
import socket
import struct
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

import msgspec

WINDOW = 8
KINDS = (
    ("edit", 0.45, 12.0),
    ("read", 0.3, 4.0),
    ("build", 0.1, 900.0),
    ("test", 0.1, 400.0),
    ("commit", 0.05, 35.0),
)
BODIES = 64
BINARY = 0x82  # a whole binary message
GRACE = 15.0  # seconds for the last answers


@dataclass
class Outcome:
    """Frames that left, within `seconds`, and that were acknowledged, the last of them `answered_seconds` after the
    beginning; milliseconds from due to acknowledged."""

    seconds: float = 0.0
    answered_seconds: float = 0.0
    sent: int = 0
    acked: int = 0
    errors: int = 0
    late_ms: list[float] = field(default_factory=list)

    def p(self, share: float) -> float:
        ordered = sorted(self.late_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("inf")


@dataclass(frozen=True, slots=True)
class Sample:
    kind: str
    age: float
    ms: float
    wait_ms: float
    outcome: str


def samples(count: int, random: Random) -> list[Sample]:
    """Durations are log-normal around each kind's median; two in a hundred fail, one in ten waited for a lock."""
    kinds = random.choices(KINDS, [share for _, share, _ in KINDS], k=count)
    made = []
    for kind, _, median in kinds:
        ms = median * random.lognormvariate(0, 0.7)
        wait_ms = ms * random.random() * 0.5 if random.random() < 0.1 else 0.0
        outcome = "error" if random.random() < 0.02 else "ok"
        made.append(Sample(kind, random.random() * 0.2, round(ms, 3), round(wait_ms, 3), outcome))
    return made


class Protocol(ABC):
    """How one kind of server is spoken to. `pipelined`: how many frames of a connection may wait for their answer."""

    pipelined = 1

    @abstractmethod
    def open(self, number: int) -> socket.socket: ...

    @abstractmethod
    def message(self, number: int, seq: int) -> bytes: ...

    @abstractmethod
    def answers(self, data: bytearray) -> Iterator[bool]:
        """Takes whole answers out of `data`: whether each is an acknowledgement."""

    def refresh(self) -> None:  # noqa: B027 - not every server's bodies age
        """Makes one body in turn anew, as bodies hold the time."""


class Websocket(Protocol):
    pipelined = WINDOW

    def __init__(self, port: int, tokens: Sequence[str], sizes: Sequence[int], seed: int = 1) -> None:
        self.port = port
        self.tokens = tokens
        self.random = Random(seed)
        self.clients = [
            secrets.token_hex(8) for _ in tokens
        ]  # of one used before, frames would be resent ones
        self.made = [samples(sizes[number % len(sizes)], self.random) for number in range(BODIES)]
        self.bodies = [self._body(number) for number in range(BODIES)]
        self.turn = 0

    def refresh(self) -> None:
        self.turn = (self.turn + 1) % BODIES
        self.bodies[self.turn] = self._body(self.turn)

    def _body(self, number: int) -> bytes:
        now = time.time()
        return msgspec.msgpack.encode(
            [
                [s.kind, now - s.age, s.ms, s.wait_ms, s.outcome, "vcs" if s.wait_ms else ""]
                for s in self.made[number]
            ]
        )

    def open(self, number: int) -> socket.socket:
        peer = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        key = base64.b64encode(os.urandom(16)).decode()
        peer.sendall(
            f"GET /ws/v1/agents/ HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            f"Authorization: Bearer {self.tokens[number]}\r\n\r\n".encode()
        )
        head = bytearray()
        while b"\r\n\r\n" not in head:
            head += peer.recv(4096)
        if b" 101 " not in head.split(b"\r\n", 1)[0]:
            raise RuntimeError(f"no websocket: {bytes(head[:80])!r}")
        greeting = head[head.index(b"\r\n\r\n") + 4 :]
        while not payloads(greeting):
            greeting += peer.recv(4096)
        return peer

    def message(self, number: int, seq: int) -> bytes:
        head = (
            b"\x84\xa1v\x01\xa6client\xb0"
            + self.clients[number].encode()
            + b"\xa3seq\xce"
            + seq.to_bytes(4, "big")
        )
        payload = head + b"\xa7samples" + self.bodies[(seq + number) % BODIES]
        size = len(payload)
        length = struct.pack("!BH", 0xFE, size) if size < 65_536 else struct.pack("!BQ", 0xFF, size)
        return b"\x82" + (length if size > 125 else bytes([0x80 | size])) + b"\0\0\0\0" + payload

    def answers(self, data: bytearray) -> Iterator[bool]:
        for payload in payloads(data):
            yield b"\xa3ack" in payload


def payloads(data: bytearray) -> list[bytes]:
    """The whole binary messages at the start of `data`, which are taken out of it; pings are passed over."""
    found = []
    place = 0
    while len(data) >= place + 2:
        size, start = data[place + 1] & 0x7F, place + 2
        if size == 126:
            if len(data) < place + 4:
                break
            size, start = int.from_bytes(data[place + 2 : place + 4], "big"), place + 4
        if len(data) < start + size:
            break
        if data[place] == BINARY:
            found.append(bytes(data[start : start + size]))
        place = start + size
    del data[:place]
    return found


class Post(Protocol):
    """`body` gives the bytes of one frame; an answer without a body and a status of 2xx acknowledges it."""

    def __init__(self, port: int, path: Callable[[int], str], body: Callable[[int, int], bytes]) -> None:
        self.port = port
        self.path = path
        self.body = body

    def open(self, number: int) -> socket.socket:
        peer = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return peer

    def message(self, number: int, seq: int) -> bytes:
        body = self.body(number, seq)
        head = f"POST {self.path(number)} HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body

    def answers(self, data: bytearray) -> Iterator[bool]:
        while (end := data.find(b"\r\n\r\n")) >= 0:
            head = bytes(data[:end]).lower()
            size = 0
            if b"content-length:" in head:
                size = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            if len(data) < end + 4 + size:
                return
            del data[: end + 4 + size]
            yield head.split(b" ", 2)[1].startswith(b"2")


@dataclass(slots=True)
class Line:
    """One connection: what is due and hasn't left, and since when each frame that left was due."""

    number: int
    peer: socket.socket
    seq: int = 0
    due: deque[float] = field(default_factory=deque)
    waiting: deque[float] = field(default_factory=deque)
    heard: bytearray = field(default_factory=bytearray)
    unsent: bytearray = field(default_factory=bytearray)


class Load:
    """Connections that stay open over several runs, so that sequence numbers go on."""

    def __init__(self, protocol: Protocol, connections: int) -> None:
        self.protocol = protocol
        self.lines = [Line(number, protocol.open(number)) for number in range(connections)]
        self.poll = select.epoll()
        for line in self.lines:
            line.peer.setblocking(False)
            self.poll.register(line.peer, select.EPOLLIN)
        self.heard_at = 0.0
        self.by_fd = {line.peer.fileno(): line for line in self.lines}

    def close(self) -> None:
        self.poll.close()
        for line in self.lines:
            line.peer.close()

    def run(self, frames_per_s: float, seconds: float, *, give_up_ms: float = 2_000.0) -> Outcome:
        """Frames at this rate over all connections in turn. Ends early once answers are `give_up_ms` late."""
        outcome = Outcome()
        begun = time.monotonic()
        total, planned, refreshed = int(frames_per_s * seconds), 0, begun
        while True:
            now = time.monotonic()
            wanted = min(total, int((now - begun) * frames_per_s) + 1)
            while planned < wanted:
                line = self.lines[planned % len(self.lines)]
                line.due.append(begun + planned / frames_per_s)
                planned += 1
                self._send(line, outcome)
            if planned >= total or (outcome.late_ms and outcome.late_ms[-1] > give_up_ms):
                break
            if now - refreshed > 1 / BODIES:
                refreshed = now
                self.protocol.refresh()
            self._listen(max(0.0005, begun + planned / frames_per_s - time.monotonic()), outcome)
        outcome.seconds = time.monotonic() - begun
        for line in self.lines:
            line.due.clear() if planned < total else None
        self._drain(outcome)
        outcome.answered_seconds = max(outcome.seconds, self.heard_at - begun)
        return outcome

    def _drain(self, outcome: Outcome) -> None:
        deadline = time.monotonic() + GRACE
        while any(line.due or line.waiting for line in self.lines) and time.monotonic() < deadline:
            self._listen(0.05, outcome)

    def _send(self, line: Line, outcome: Outcome) -> None:
        while line.due and len(line.waiting) < self.protocol.pipelined and not line.unsent:
            line.seq += 1
            data = self.protocol.message(line.number, line.seq)
            line.waiting.append(line.due.popleft())
            outcome.sent += 1
            try:
                gone = line.peer.send(data)
            except BlockingIOError:
                gone = 0
            if gone < len(data):
                line.unsent += data[gone:]
                self.poll.modify(line.peer, select.EPOLLIN | select.EPOLLOUT)

    def _listen(self, seconds: float, outcome: Outcome) -> None:
        for fd, events in self.poll.poll(seconds):
            line = self.by_fd[fd]
            if events & select.EPOLLOUT:
                self._send_rest(line)
            if events & ~select.EPOLLOUT:
                data = line.peer.recv(65_536)
                if not data:
                    raise RuntimeError("the server closed a connection")
                line.heard += data
                now = self.heard_at = time.monotonic()
                for good in self.protocol.answers(line.heard):
                    outcome.late_ms.append((now - line.waiting.popleft()) * 1000)
                    outcome.acked += good
                    outcome.errors += not good
            self._send(line, outcome)

    def _send_rest(self, line: Line) -> None:
        gone = line.peer.send(line.unsent)
        del line.unsent[:gone]
        if not line.unsent:
            self.poll.modify(line.peer, select.EPOLLIN)
