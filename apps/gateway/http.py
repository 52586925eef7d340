"""Plain HTTP in ASGI for programs: a bounded body, and answers that say what to do."""

import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from apps.gateway.doors import header

# What is read of a body at most, as it comes over the wire. The server in front keeps one byte more, to tell.
MAX_BODY_BYTES = 1024 * 1024
RETRY_SECONDS = 5

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Refused(Exception):
    """An answer other than 200. The text says what to do."""

    def __init__(self, status: int, text: str, *, retry_after: int | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        found = {}
        if self.retry_after is not None:
            found["Retry-After"] = str(self.retry_after)
        if self.status == 401:
            found["WWW-Authenticate"] = "Bearer"
        if self.status == 405:
            found["Allow"] = "POST"
        return found


class Gone(Exception):
    """The client hung up: nobody waits for an answer."""


async def read_body(scope: Scope, receive: Receive, *, most: int) -> bytes:
    """The body, inflated where it is gzip: at most MAX_BODY_BYTES on the wire and `most` inflated. Raises Refused
    and Gone."""
    encoding = header(scope["headers"], b"content-encoding").strip().lower()
    if encoding not in ("", "identity", "gzip"):
        raise Refused(
            415, f"Content-Encoding {encoding[:40]!r} isn't taken: send gzip, or the body as it is."
        )
    body = await _received(receive)
    if encoding == "gzip":
        return inflated(body, most)
    if len(body) > most:
        raise _too_large(most)
    return body


def inflated(body: bytes, most: int) -> bytes:
    """Never holds more than `most` bytes and a little, whatever the body unfolds to."""
    unzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        found = unzip.decompress(body, most + 1)
    except zlib.error as error:
        raise Refused(400, f"The body isn't the gzip that its Content-Encoding says: {error}.") from error
    if len(found) > most:
        raise _too_large(most)
    if not unzip.eof or unzip.unused_data:
        raise Refused(400, "The gzip body is cut off, or something follows it. Send it again whole.")
    return found


async def _received(receive: Receive) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        part = message.get("body", b"")
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise _too_large(MAX_BODY_BYTES)
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _too_large(most: int) -> Refused:
    return Refused(413, f"A body may have {most:,} bytes: send less at once.")


def content_type(scope: Scope) -> str:
    """Without its parameters, in lower case."""
    return header(scope["headers"], b"content-type").partition(";")[0].strip().lower()


async def answer(
    send: Send, status: int, body: bytes, kind: str, more: Mapping[str, str] | None = None
) -> None:
    headers = {"Content-Type": kind, "Content-Length": str(len(body)), **(more or {})}
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
