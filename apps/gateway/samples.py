"""Frames by HTTP, for who can't keep a websocket open (docs/reference/wire.md)."""

import logging
from typing import Any

from apps.gateway import frames
from apps.gateway.callers import Callers
from apps.gateway.consumer import UNAVAILABLE
from apps.gateway.frames import FrameError
from apps.gateway.http import (
    RETRY_SECONDS,
    Gone,
    Receive,
    Refused,
    Scope,
    Send,
    answer,
    content_type,
    read_body,
)
from apps.gateway.writer import FrameWriter

log = logging.getLogger(__name__)

JSON = "application/json"
MSGPACK = ("application/msgpack", "application/x-msgpack", "application/vnd.msgpack")
ENCODERS = {JSON: frames.encode_json, **dict.fromkeys(MSGPACK, frames.encode_msgpack)}


class SamplesDoor:
    """The ASGI application of the path. One frame a request, answered once it is durable."""

    def __init__(self, writer: FrameWriter, callers: Callers) -> None:
        self.writer = writer
        self.callers = callers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = content_type(scope)
        reply_kind = kind if kind in ENCODERS else JSON
        status, headers = 200, {}
        try:
            message = await self._take(scope, receive, kind)
        except FrameError as error:
            status, message = 400, frames.refusal(error.code, error.text, error.seq)
        except Refused as error:
            code: frames.Code = "unavailable" if error.retry_after is not None else "bad_frame"
            status, message, headers = error.status, frames.refusal(code, error.text, None), error.headers
        except Gone:
            return
        await answer(send, status, ENCODERS[reply_kind](message), reply_kind, headers)

    async def _take(self, scope: Scope, receive: Receive, kind: str) -> dict[str, Any]:
        holder = await self.callers.admit(scope)
        if kind not in ENCODERS:
            raise Refused(415, f"Say what the body is: Content-Type {JSON} or {MSGPACK[0]}.")
        with self.callers.at_work(holder):
            body = await read_body(scope, receive, most=frames.MAX_BYTES)
            frame = frames.decode_frame(_text(body) if kind == JSON else body)
            written = await self.writer.written(frames.stored(frame, holder))
        if written in UNAVAILABLE:
            raise Refused(503, UNAVAILABLE[written], retry_after=RETRY_SECONDS)
        return frames.acknowledgement(frame.seq)


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise FrameError("bad_frame", f"Not a frame: JSON is UTF-8, and this isn't: {error}.") from error
