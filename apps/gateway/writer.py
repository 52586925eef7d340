"""One writer for all sockets of the process: what waits goes to Redis in one round trip, and so in one sync to disk."""

import asyncio
import logging
from collections import deque
from typing import Literal

from apps.lib.redis import async_connection
from apps.telemetry.ingest import Frame, FrameAppender

log = logging.getLogger(__name__)

# In one call, during which Redis does nothing else: a few milliseconds.
FRAMES_AT_ONCE = 256
BYTES_AT_ONCE = 4 * 1024 * 1024
MAX_WAITING_BYTES = 64 * 1024 * 1024

Written = Literal["added", "duplicate", "full", "away"]


class FrameWriter:
    """Belongs to the event loop that first submits to it."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Frame, asyncio.Future[Written]]] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._trouble = ""

    def submit(self, frame: Frame) -> "asyncio.Future[Written]":
        """Never fails: the outcome says whether the frame is in the stream."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        outcome: asyncio.Future[Written] = asyncio.get_running_loop().create_future()
        if self._bytes + len(frame.body) > MAX_WAITING_BYTES:
            outcome.set_result("away")
            return outcome
        self._bytes += len(frame.body)
        self._waiting.append((frame, outcome))
        self._wake.set()
        return outcome

    async def _run(self) -> None:
        client = async_connection()
        appender = FrameAppender(client)
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._waiting:
                    await self._write(appender)
        finally:
            await client.aclose()

    async def _write(self, appender: FrameAppender) -> None:
        batch: list[tuple[Frame, asyncio.Future[Written]]] = []
        size = 0
        while self._waiting and len(batch) < FRAMES_AT_ONCE and size < BYTES_AT_ONCE:
            batch.append(self._waiting.popleft())
            size += len(batch[-1][0].body)
        self._bytes -= size
        outcomes = await self._append(appender, [frame for frame, _ in batch])
        for (_, outcome), written in zip(batch, outcomes, strict=True):
            if not outcome.done():  # its socket may have gone
                outcome.set_result(written)

    async def _append(self, appender: FrameAppender, frames: list[Frame]) -> list[Written]:
        try:
            outcomes: list[Written] = [*await appender.append(frames)]
        except Exception as error:  # whatever it is, the sockets wait for an answer
            self._tell(f"samples can't be stored, agents keep them: {error}")
            return ["away"] * len(frames)
        full = "full" in outcomes
        self._tell("the sample stream is full: is the telemetry process running? Agents keep theirs" * full)
        return outcomes

    def _tell(self, trouble: str) -> None:
        """Once when trouble begins, and once when it ends."""
        if bool(trouble) != bool(self._trouble):
            log.log(logging.ERROR if trouble else logging.INFO, trouble or "samples are stored again")
        self._trouble = trouble
