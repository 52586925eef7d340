"""One writer for all sockets of the process: what waits goes to Redis in one round trip, and so in one sync to disk."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Literal

from apps.telemetry.ingest import Frame, FrameAppender, Outcome

log = logging.getLogger(__name__)

# In one call, during which Redis does nothing else: a few milliseconds.
FRAMES_AT_ONCE = 256
BYTES_AT_ONCE = 4 * 1024 * 1024
MAX_WAITING_BYTES = 64 * 1024 * 1024
# From the beginning of one call to that of the next: a quiet yard's frames share calls and syncs too. The first frame
# after a pause doesn't wait.
PACE_SECONDS = 0.004

Written = Literal["added", "duplicate", "full", "away"]
Told = Callable[[list[tuple[Frame, Written]]], None]


class FrameWriter:
    """Belongs to the event loop that first submits to it. Callbacks and no tasks, as a batch may hold few frames."""

    def __init__(self) -> None:
        self._appender = FrameAppender()
        self._waiting: deque[tuple[Frame, Told]] = deque()
        self._bytes = 0
        self._at_work = False
        self._not_before = 0.0
        self._trouble = ""

    def submit(self, frame: Frame, told: Told) -> None:
        """Never fails: `told` gets to know whether the frame is in the stream, together with others of its own."""
        if self._bytes + len(frame.body) > MAX_WAITING_BYTES:
            told([(frame, "away")])
            return
        self._bytes += len(frame.body)
        self._waiting.append((frame, told))
        if not self._at_work:
            self._go_on()

    def written(self, frame: Frame) -> "asyncio.Future[Written]":
        """The same for one frame, to be awaited."""
        outcome: asyncio.Future[Written] = asyncio.get_running_loop().create_future()

        def told(answers: list[tuple[Frame, Written]]) -> None:
            if not outcome.done():  # its request may have gone
                outcome.set_result(answers[0][1])

        self.submit(frame, told)
        return outcome

    def close(self) -> None:
        self._appender.close()

    def _go_on(self) -> None:
        """In the next turn of the loop at the earliest: all sockets that have something now get into one batch."""
        self._at_work = bool(self._waiting)
        if not self._at_work:
            return
        loop = asyncio.get_running_loop()
        if loop.time() >= self._not_before:
            loop.call_soon(self._write)
        else:
            loop.call_at(self._not_before, self._write)

    def _write(self) -> None:
        self._not_before = asyncio.get_running_loop().time() + PACE_SECONDS
        batch: list[tuple[Frame, Told]] = []
        size = 0
        while self._waiting and len(batch) < FRAMES_AT_ONCE and size < BYTES_AT_ONCE:
            batch.append(self._waiting.popleft())
            size += len(batch[-1][0].body)
        self._bytes -= size
        done = partial(self._settle, batch)
        try:
            self._appender.append([frame for frame, _ in batch], done)
        except Exception as error:  # whatever it is, the sockets wait for an answer
            done(error)

    def _settle(self, batch: list[tuple[Frame, Told]], found: list[Outcome] | Exception) -> None:
        answers: dict[Told, list[tuple[Frame, Written]]] = {}
        for (frame, told), written in zip(batch, self._outcomes(found, len(batch)), strict=True):
            answers.setdefault(told, []).append((frame, written))
        for told, its in answers.items():
            try:
                told(its)
            except Exception:  # one socket that breaks is no harm to the others
                log.exception("an acknowledgement could not be given")
        self._go_on()

    def _outcomes(self, found: list[Outcome] | Exception, count: int) -> Iterable[Written]:
        if isinstance(found, Exception):
            self._tell(f"samples can't be stored, agents keep them: {found}")
            return ["away"] * count
        full = "full" in found
        self._tell("the sample stream is full: is the telemetry process running? Agents keep theirs" * full)
        return found

    def _tell(self, trouble: str) -> None:
        """Once when trouble begins, and once when it ends."""
        if bool(trouble) != bool(self._trouble):
            log.log(logging.ERROR if trouble else logging.INFO, trouble or "samples are stored again")
        self._trouble = trouble
