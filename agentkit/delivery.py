"""The thread that brings an outbox to the gateway, over as many connections as it takes.

Frames go out in the order of their seq and are resent in that order, on every new connection and after the
gateway said `unavailable`: the gateway tells a resend from news by comparing seq alone.
"""

from __future__ import annotations

import os
import random
import select
import time
from contextlib import closing
from threading import Event, Lock

from agentkit import wire
from agentkit.connection import Connection, ConnectionFailed
from agentkit.outbox import Outbox, Sent
from agentkit.samples import MAX_SAMPLES, VERSION, WINDOW

FIRST_PAUSE = 0.1  # seconds, doubled after each failure
LONGEST_PAUSE = 10.0
PAUSE_REFUSED = 60.0  # after a refusal that trying again seldom mends
PAUSE_CLOSING = 0.2
HELLO_TIMEOUT = 5.0
IDLE_BEFORE_PING = 20.0
REFUSED = {401, 403, 404, 4401, 4403, 4426}


class Delivery:
    """`lock` guards the outbox; a byte on `wake_fd` ends a wait.

    `closing` asks it to flush and stop, `abandoned` to stop whatever is left.
    """

    def __init__(
        self,
        *,
        url: str,
        token: str,
        client: str,
        outbox: Outbox,
        lock: Lock,
        wake_fd: int,
        ack_timeout: float,
    ) -> None:
        self.closing = Event()
        self.abandoned = Event()
        self.problem = ""
        self.is_refused = False
        self._url = url
        self._token = token
        self._client = client
        self._outbox = outbox
        self._flush_after = outbox.flush_after  # until the gateway asks for another
        self._lock = lock
        self._wake_fd = wake_fd
        self._ack_timeout = ack_timeout
        self._failures = 0
        self._paused_until = 0.0
        self._heard_at = 0.0
        self._pinged = False

    def run(self) -> None:
        """Until closing is set and everything is acknowledged, or a refusal makes that hopeless."""
        while not self._is_over():
            try:
                with closing(Connection(self._url, self._token, self._wake_fd)) as connection:
                    self._greet(connection)
                    self._converse(connection)
            except ConnectionFailed as failure:
                self.problem = str(failure)
                self.is_refused = failure.code in REFUSED
                self._failures += 1
                self._rest(jittered(PAUSE_REFUSED) if self.is_refused else pause_after(self._failures))

    def _is_over(self) -> bool:
        if self.abandoned.is_set() or not self.closing.is_set():
            return self.abandoned.is_set()
        with self._lock:
            return self.is_refused or self._outbox.is_empty()

    def _rest(self, seconds: float) -> None:
        """Wait; once closing is set, not long."""
        until = time.monotonic() + seconds
        while not self._is_over():
            if self.closing.is_set():
                until = min(until, time.monotonic() + PAUSE_CLOSING)
            left = until - time.monotonic()
            if left <= 0:
                return
            drain(self._wake_fd, left)

    def _greet(self, connection: Connection) -> None:
        """Nothing is sent before the gateway's hello: a refused token must not cost samples."""
        deadline = time.monotonic() + HELLO_TIMEOUT
        while (left := deadline - time.monotonic()) > 0 and not self.abandoned.is_set():
            messages, _ = connection.receive(left)
            drain(self._wake_fd, 0)
            for message in messages:
                reply = understand(message)
                if isinstance(reply, wire.Hello):
                    self._begin(reply.hello)
                    return
        raise ConnectionFailed("the gateway said no hello")

    def _begin(self, greeting: wire.Greeting) -> None:
        with self._lock:
            self._outbox.flush_after = self._flush_after
            self._outbox.window = min(WINDOW, greeting.window)
            self._outbox.batch = min(MAX_SAMPLES, greeting.max_samples)
        self.is_refused = False
        self._paused_until = 0.0
        self._heard_at = time.monotonic()
        self._pinged = False

    def _converse(self, connection: Connection) -> None:
        self._resend(connection)
        while not self._is_over():
            now = time.monotonic()
            if self._paused_until and now >= self._paused_until:
                self._paused_until = 0.0
                self._resend(connection)
            if not self._paused_until:
                self._send_due(connection, now)
            messages, heard = connection.receive(self._next_event(now) - now)
            drain(self._wake_fd, 0)
            for message in messages:
                self._take(understand(message))
            self._watch(connection, heard)

    def _resend(self, connection: Connection) -> None:
        with self._lock:
            frames = self._outbox.unacknowledged()
        for sent in frames:
            sent.sent_at = time.monotonic()
            connection.send(sent.payload)

    def _send_due(self, connection: Connection, now: float) -> None:
        while True:
            with self._lock:
                sent = self._outbox.next_frame(now, flushing=self.closing.is_set())
                dropped = self._outbox.dropped
            if sent is None:
                return
            sent.payload = encode(self._client, sent, dropped)
            connection.send(sent.payload)

    def _next_event(self, now: float) -> float:
        """When something has to be done although nothing arrives."""
        with self._lock:
            due = self._outbox.due_at(flushing=self.closing.is_set())
            oldest = self._outbox.oldest_sent_at()
        times = [self._heard_at + IDLE_BEFORE_PING * (2 if self._pinged else 1)]
        if self._paused_until:
            times.append(self._paused_until)
        elif due is not None:
            times.append(due)
        if oldest is not None:
            times.append(oldest + self._ack_timeout)
        return max(now, min(times))

    def _take(self, reply: wire.Hello | wire.Ack | wire.Refusal) -> None:
        if isinstance(reply, wire.Ack):
            with self._lock:
                known = self._outbox.acknowledge(reply.ack)
                if reply.pace is not None:
                    self._outbox.flush_after = reply.pace
            if known:
                self._failures = 0
                self.problem = ""
        elif isinstance(reply, wire.Refusal):
            self._take_refusal(reply)

    def _take_refusal(self, reply: wire.Refusal) -> None:
        self.problem = f"the gateway refused a frame: {reply.error}"
        if reply.code == "unavailable" or reply.seq is None:
            self._pause()
        elif (
            reply.code != "bad_version"
        ):  # nothing is wrong with that frame; the close that follows says more
            with self._lock:
                self._outbox.give_up(reply.seq)

    def _pause(self) -> None:
        if self._paused_until:
            return  # the frames behind a refused one are refused too: one pause for all
        self._failures += 1
        pause = pause_after(self._failures)
        self._paused_until = time.monotonic() + (
            min(pause, PAUSE_CLOSING) if self.closing.is_set() else pause
        )

    def _watch(self, connection: Connection, heard: bool) -> None:
        now = time.monotonic()
        if heard:
            self._heard_at, self._pinged = now, False
        with self._lock:
            oldest = self._outbox.oldest_sent_at()
        if oldest is not None and now - oldest >= self._ack_timeout and not self._paused_until:
            raise ConnectionFailed(f"no acknowledgement within {self._ack_timeout:g} s")
        silent = now - self._heard_at
        if silent >= 2 * IDLE_BEFORE_PING:
            raise ConnectionFailed("the gateway fell silent")
        if silent >= IDLE_BEFORE_PING and not self._pinged:
            connection.ping()
            self._pinged = True


def encode(client: str, sent: Sent, dropped: int) -> bytes:
    frame: dict[str, object] = {"v": VERSION, "client": client, "seq": sent.seq, "samples": sent.samples}
    frame |= sent.status
    if dropped:
        frame["dropped"] = dropped
    payload = wire.encode(frame)
    assert isinstance(payload, bytes)
    return payload


def understand(message: bytes | str) -> wire.Hello | wire.Ack | wire.Refusal:
    """Garbage ends the connection: whatever speaks there, nothing it says can be relied on."""
    try:
        return wire.decode_reply(message)
    except wire.WireError as error:
        raise ConnectionFailed(f"the gateway's answer makes no sense: {error.text}") from error


def pause_after(failures: int) -> float:
    return jittered(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures - 1, 16)))


def jittered(seconds: float) -> float:
    """A hundred agents that lost the same gateway must not come back in step."""
    return seconds * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, keeps no secret


def drain(wake_fd: int, timeout: float) -> None:
    """Wait for wake-ups and swallow them."""
    poller = select.poll()
    poller.register(wake_fd, select.POLLIN)
    if poller.poll(max(0.0, timeout) * 1000):
        os.read(wake_fd, 4096)
