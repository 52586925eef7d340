"""The telemetry client: takes samples from an agent without making it wait, and brings them to the gateway.

Importing it costs a few milliseconds; the websocket library (65 ms of CPU) is imported by the background
thread that the first sample starts.
"""

from __future__ import annotations

import os
import sys
import time
from threading import Lock, Thread

from agentkit.outbox import Outbox
from agentkit.samples import make_sample, one_line

TYPE_CHECKING = False  # `typing` itself is a third of this module's start-up
if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentkit.delivery import Delivery


class Receipt:
    """What became of the samples: acknowledged, without an answer (`lost`), dropped for lack of room."""

    __slots__ = ("acked", "dropped", "lost", "problem")

    def __init__(self, acked: int, lost: int, dropped: int, problem: str) -> None:
        self.acked = acked
        self.lost = lost
        self.dropped = dropped
        self.problem = problem


class Client:
    """Thread-safe. `hold` seconds pass before the first connection: a start in numbers stays cheap. What `capacity`
    samples in memory can't hold while the gateway is away goes to a bounded spool in `spool_directory`, if given."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        capacity: int = 20_000,
        flush_after: float = 0.25,
        hold: float = 0.0,
        ack_timeout: float = 15.0,
        spool_directory: str | None = None,
    ) -> None:
        self.id = os.urandom(8).hex()
        self._url = url
        self._token = token
        self._hold = hold
        self._ack_timeout = ack_timeout
        self._outbox = Outbox(capacity=capacity, flush_after=flush_after, spool_directory=spool_directory)
        self._lock = Lock()
        self._thread: Thread | None = None
        self._delivery: Delivery | None = None
        self._problem = ""
        self._is_closing = False
        self._is_abandoned = False
        self._wake_read = self._wake_write = -1

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ, *, hold: float = 0.0) -> Client | None:
        """None without SWARMYARD_GATEWAY: an agent works alone too."""
        url = environ.get("SWARMYARD_GATEWAY", "")
        if not url:
            return None
        directory = environ.get("SWARMYARD_RUN_DIR") or None
        return cls(url, environ.get("SWARMYARD_TOKEN", ""), hold=hold, spool_directory=directory)

    def report(
        self,
        kind: str,
        *,
        ms: float,
        end: float | None = None,
        wait_ms: float = 0.0,
        outcome: str = "ok",
        wait_kind: str = "",
        memory: int = 0,
        task: str = "",
        note: str = "",
    ) -> None:
        """One operation that ended at `end` (unix seconds; now). Raises ValueError like make_sample."""
        sample = make_sample(
            kind,
            end=time.time() if end is None else end,
            ms=ms,
            wait_ms=wait_ms,
            outcome=outcome,
            wait_kind=wait_kind,
            memory=memory,
            task=task,
            note=note,
        )
        with self._lock:
            wakes = self._outbox.add(sample, time.monotonic())
            self._start(wakes)

    def tell(self, *, now: str | None = None, state: str | None = None) -> None:
        """What the agent is doing at the moment; `state` is busy, idle or waiting."""
        with self._lock:
            wakes = self._outbox.tell(time.monotonic(), now=now, state=state)
            self._start(wakes)

    def close(self, timeout: float = 5.0) -> Receipt:
        """Flush, wait at most `timeout` seconds for acknowledgements, and say what became of the samples."""
        with self._lock:
            thread, self._is_closing = self._thread, True
            if self._delivery is not None:
                self._delivery.closing.set()
            self._wake()
        if thread is not None:
            thread.join(timeout)
        with self._lock:
            self._is_abandoned = True
            if self._delivery is not None:
                self._delivery.abandoned.set()
            self._wake()
            return Receipt(self._outbox.acked, self._outbox.left(), self._outbox.dropped, self.problem)

    @property
    def problem(self) -> str:
        """Why samples don't arrive at the moment; empty when they do."""
        return self._problem or (self._delivery.problem if self._delivery else "")

    def _start(self, wakes: bool) -> None:
        if self._thread is None and not self._is_closing:
            self._wake_read, self._wake_write = os.pipe()
            os.set_blocking(self._wake_write, False)
            self._thread = Thread(target=self._deliver, name="swarmyard-telemetry", daemon=True)
            self._thread.start()
        elif wakes:
            self._wake()

    def _wake(self) -> None:
        if self._wake_write >= 0:
            try:
                os.write(self._wake_write, b"!")
            except BlockingIOError:
                pass  # a full pipe wakes as well

    def _deliver(self) -> None:
        try:
            self._wait_before_start()
            self._load().run()
        except Exception as error:  # telemetry that breaks must not take the agent along
            self._problem = one_line(f"telemetry stopped: {type(error).__name__}: {error}")
        with self._lock:
            read, write = self._wake_read, self._wake_write
            self._wake_read = self._wake_write = -1
        os.close(read)
        os.close(write)

    def _wait_before_start(self) -> None:
        import select  # the only user on this thread before the heavy imports

        poller = select.poll()
        poller.register(self._wake_read, select.POLLIN)
        until = time.monotonic() + self._hold
        while not self._is_closing and (left := until - time.monotonic()) > 0:
            if poller.poll(left * 1000):
                os.read(self._wake_read, 4096)

    def _load(self) -> Delivery:
        add_site_packages()
        from agentkit.delivery import Delivery  # 65 ms; on this thread, after the agent's first work

        delivery = Delivery(
            url=self._url,
            token=self._token,
            client=self.id,
            outbox=self._outbox,
            lock=self._lock,
            wake_fd=self._wake_read,
            ack_timeout=self._ack_timeout,
        )
        with self._lock:
            self._delivery = delivery
            if self._is_closing:
                delivery.closing.set()
            if self._is_abandoned:
                delivery.abandoned.set()
        return delivery


def add_site_packages() -> None:
    """`python -S` starts faster for lack of these; the libraries of the wire live there."""
    if sys.flags.no_site and "site" not in sys.modules:
        import site

        site.main()
