"""Wire format v1 between an agent and the gateway, as docs/reference/wire.md describes it.

A binary message is msgpack, a text message is JSON; both have the same structure. This module costs about
27 ms of start-up (msgspec), so only what is already running imports it.
"""

from __future__ import annotations

from math import isfinite
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from agentkit.samples import MAX_BYTES, MAX_KIND, MAX_SAMPLES, MAX_TEXT, VERSION, WINDOW

Kind = Annotated[str, Meta(min_length=1, max_length=MAX_KIND, pattern=r"\A[a-z0-9_.:-]+\Z")]
WaitKind = Annotated[str, Meta(max_length=MAX_KIND, pattern=r"\A[a-z0-9_.:-]*\Z")]
ClientId = Annotated[str, Meta(pattern=r"\A[0-9a-f]{8,32}\Z")]
Seq = Annotated[int, Meta(ge=1, le=2**53 - 1)]  # exact in a double, which JSON and Lua count with
Amount = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=0)]
Text = Annotated[str, Meta(max_length=MAX_TEXT)]


class WireError(Exception):
    """A message that the format refuses; `code` and `seq` are those of the error message that answers it."""

    def __init__(self, code: str, text: str, seq: int | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.seq = seq


class Sample(msgspec.Struct, array_like=True, frozen=True):
    kind: Kind
    end: Amount
    ms: Amount
    wait_ms: Amount
    outcome: Literal["ok", "error", "induced"]
    wait_kind: WaitKind = ""
    memory: Count = 0
    task: Text = ""
    note: Text = ""

    def __post_init__(self) -> None:
        # msgpack can say NaN and infinity, and no comparison catches NaN.
        if not (isfinite(self.end) and isfinite(self.ms) and isfinite(self.wait_ms)):
            raise ValueError("end, ms and wait_ms are finite numbers")


class Frame(msgspec.Struct, omit_defaults=True, kw_only=True):
    v: int
    client: ClientId
    seq: Seq
    samples: Annotated[list[Sample], Meta(max_length=MAX_SAMPLES)]
    now: Text | UnsetType = UNSET
    state: Literal["busy", "idle", "waiting"] | UnsetType = UNSET
    dropped: Count = 0


class Greeting(msgspec.Struct, kw_only=True):
    agent: str
    max_samples: Annotated[int, Meta(ge=1)] = MAX_SAMPLES
    max_bytes: Annotated[int, Meta(ge=1)] = MAX_BYTES
    window: Annotated[int, Meta(ge=1)] = WINDOW


class Hello(msgspec.Struct, kw_only=True):
    v: int
    hello: Greeting


class Ack(msgspec.Struct, kw_only=True):
    v: int
    ack: Seq
    pace: Annotated[float, Meta(ge=0, le=60)] | None = None


class Refusal(msgspec.Struct, kw_only=True):
    v: int
    error: str
    code: str
    seq: int | None = None


class _Envelope(msgspec.Struct):
    """What can be said of a message before it is known to be well formed."""

    v: Any = None
    seq: Any = None


def encode(message: Any, *, text: bool = False) -> bytes | str:
    """One of the structs above, or maps and lists of the same shape, as a message of the kind asked for."""
    return msgspec.json.encode(message).decode() if text else msgspec.msgpack.encode(message)


def decode_frame(data: bytes | str) -> Frame:
    """The frame in a client's message. Raises WireError with code too_large, bad_version or bad_frame."""
    if len(data) > MAX_BYTES or (isinstance(data, str) and len(data.encode(errors="replace")) > MAX_BYTES):
        raise WireError("too_large", f"A frame has at most {MAX_BYTES} bytes: send fewer samples in each")
    envelope = _decode(data, _Envelope, None)
    seq = envelope.seq if type(envelope.seq) is int else None
    if type(envelope.v) is not int or envelope.v != VERSION:
        raise WireError("bad_version", f'This gateway speaks version {VERSION}: send "v": {VERSION}', seq)
    frame: Frame = _decode(data, Frame, seq)
    return frame


def decode_reply(data: bytes | str) -> Hello | Ack | Refusal:
    """The gateway's message. Raises WireError when it is none that version 1 knows."""
    parts = _decode(data, dict[str, Any], None)
    for key, shape in (("hello", Hello), ("ack", Ack), ("error", Refusal)):
        if key in parts:
            reply: Hello | Ack | Refusal = _decode(data, shape, None)
            return reply
    raise WireError("bad_frame", "The gateway's message holds none of hello, ack, error")


def _decode(data: bytes | str, shape: Any, seq: int | None) -> Any:
    try:
        if isinstance(data, str):
            return msgspec.json.decode(data, type=shape)
        return msgspec.msgpack.decode(data, type=shape)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise WireError("bad_frame", f"{error}: see docs/reference/wire.md", seq) from error
