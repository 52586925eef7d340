"""An agent's websocket: who it is, its frames, and their acknowledgements (docs/reference/wire.md).

Plain ASGI instead of a Channels consumer: that starts two tasks and visits a thread for every message. And past ASGI
for what comes often: the server brings frames to a function and takes acknowledgements from one (`DIRECT`). So a socket
has two coroutines for its whole life, and a frame none, no queue, and no turn of the loop of its own.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError

from apps.fleet.tokens import TokenHolder
from apps.gateway import frames
from apps.gateway.doors import bearer_token, is_foreign
from apps.gateway.finder import AgentFinder
from apps.gateway.frames import WINDOW, FrameError
from apps.gateway.writer import FrameWriter, Written
from apps.lib.direct import DIRECT, Direct
from apps.telemetry.ingest import Frame
from apps.telemetry.pace import QUICK, Pace

log = logging.getLogger(__name__)

RECHECK_SECONDS = 2.0
MAX_SOCKETS_PER_AGENT = 64

# An application may close with 1000 and with 3000 to 4999; after 1000 a client comes back in a while.
COME_BACK, MALFORMED, BAD_TOKEN, FOREIGN_ORIGIN, BAD_VERSION = 1000, 4400, 4401, 4403, 4426
CLOSE_CODES = {"bad_frame": MALFORMED, "bad_version": BAD_VERSION}

NO_LOOKUP = "The database is away: come back in a while."
CROWDED = f"This agent has {MAX_SOCKETS_PER_AGENT} connections, and no more are taken: close one first."
UNAVAILABLE = {
    "away": "The sample store is away: keep the frame and send it again.",
    "full": "The sample store is full, as nothing reads it: keep the frame and send it again.",
}

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

Answers = list[tuple[Frame, Written]]

find_agent = AgentFinder()


class AgentDoor:
    """The ASGI application of the path: lets agents in and everybody else not."""

    def __init__(self, writer: FrameWriter) -> None:
        self.writer = writer
        self.sockets: Counter[int] = Counter()
        self.pace = Pace()
        self._following: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Accepted in any case: a refusal in the handshake would hide which one it is.
        await receive()
        await send({"type": "websocket.accept"})
        if is_foreign(scope["headers"], settings.ALLOWED_HOSTS):
            await _shut(receive, send, FOREIGN_ORIGIN)
            return
        token = bearer_token(scope["headers"])
        try:
            holder = await find_agent(token) if token else None
        except (DatabaseError, InterfaceError) as error:
            log.error("agents can't be looked up: %s", error)  # noqa: TRY400
            await _shut(receive, send, COME_BACK, NO_LOOKUP)
            return
        if holder is None:
            await _shut(receive, send, BAD_TOKEN)
        elif self.sockets[holder.pk] >= MAX_SOCKETS_PER_AGENT:
            await _shut(receive, send, COME_BACK, CROWDED)
        else:
            socket = AgentSocket(token, holder, scope["extensions"][DIRECT], self.writer, self.pace)
            await self._talk(socket, receive)

    async def _talk(self, socket: "AgentSocket", receive: Receive) -> None:
        pk = socket.holder.pk
        self.sockets[pk] += 1
        if self._following is None:  # from the first socket on
            self._following = asyncio.create_task(self.pace.follow())
        try:
            await socket.run(receive)
        finally:
            self.sockets[pk] -= 1
            if not self.sockets[pk]:
                del self.sockets[pk]


class AgentSocket:
    def __init__(
        self, token: str, holder: TokenHolder, socket: Direct, writer: FrameWriter, pace: Pace
    ) -> None:
        self.token = token
        self.holder = holder
        self.socket = socket
        self.writer = writer
        self.pace = pace
        self.told_pace = QUICK  # what clients begin with
        self.closed = False
        self.unanswered = 0

    async def run(self, receive: Receive) -> None:
        self.socket.say(frames.encode_msgpack(frames.hello(self.holder.name)))
        self.socket.hear(self._take)
        recheck = asyncio.create_task(self._recheck())
        try:
            await self._listen(receive)
        finally:
            recheck.cancel()
            await asyncio.gather(recheck, return_exceptions=True)

    async def _listen(self, receive: Receive) -> None:
        """To the end, and past our own close: nobody else would take what came before the hello."""
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                self.closed = True
                return
            data = message.get("bytes")
            self._take(data if data is not None else message.get("text") or "")

    def _take(self, data: bytes | str) -> None:
        if self.closed:
            return
        text = isinstance(data, str)
        try:
            frame = frames.decode_frame(data)
            if self.unanswered >= WINDOW:
                hint = (
                    f"At most {WINDOW} frames may wait for their acknowledgement: wait before you send more."
                )
                raise FrameError("bad_frame", hint, frame.seq)
        except FrameError as error:
            self._say([frames.refusal(error.code, error.text, error.seq)], text=text)
            self._close(CLOSE_CODES[error.code])
            return
        self.unanswered += 1
        self.writer.submit(frames.stored(frame, self.holder), self._answer_in_text if text else self._answer)

    def _answer(self, written: Answers, *, text: bool = False) -> None:
        self.unanswered -= len(written)
        answers = [_answer_to(frame.seq, outcome) for frame, outcome in written]
        if self.pace.seconds != self.told_pace and "ack" in answers[-1]:
            self.told_pace = self.pace.seconds
            answers[-1]["pace"] = self.told_pace
        self._say(answers, text=text)

    def _answer_in_text(self, written: Answers) -> None:
        self._answer(written, text=True)

    async def _recheck(self) -> None:
        """Closes the socket soon after its agent's token died. All sockets look at the same times, and so together."""
        while not self.closed:
            await asyncio.sleep(RECHECK_SECONDS - asyncio.get_running_loop().time() % RECHECK_SECONDS)
            try:
                holder = await find_agent(self.token)
            except (DatabaseError, InterfaceError) as error:
                log.debug("token not checked, the socket stays: %s", error)
                continue
            if holder is None:
                self._close(BAD_TOKEN)
                return
            self.holder = holder

    def _say(self, messages: list[dict[str, Any]], *, text: bool) -> None:
        if self.closed:
            return
        if text:
            self.socket.say(*[frames.encode_json(message).decode() for message in messages])
        else:
            self.socket.say(*[frames.encode_msgpack(message) for message in messages])

    def _close(self, code: int) -> None:
        if not self.closed:
            self.closed = True
            self.socket.close(code)


def _answer_to(seq: int, outcome: Written) -> dict[str, Any]:
    if outcome in UNAVAILABLE:
        return frames.refusal("unavailable", UNAVAILABLE[outcome], seq)
    return frames.acknowledgement(seq)


async def _shut(receive: Receive, send: Send, code: int, why: str = "") -> None:
    if why:
        message = frames.encode_msgpack(frames.refusal("unavailable", why, None))
        await send({"type": "websocket.send", "bytes": message})
    await send({"type": "websocket.close", "code": code})
    while (await receive())["type"] != "websocket.disconnect":
        pass
