"""What agents send by websocket or HTTP: decoding, checking, and saying what is wrong (docs/reference/wire.md)."""

import re
import time
from typing import Annotated, Any, Literal, NoReturn

import msgspec
from msgspec import UNSET, Meta, UnsetType

from apps.fleet.tokens import TokenHolder
from apps.lib.text import plain_text
from apps.telemetry.domain.sample import ByteCount, Sample, Text200
from apps.telemetry.ingest import Frame, Said, encode_body

VERSION = 1
MAX_BYTES = 1024 * 1024  # Daphne's own limit, which refuses by the header, before anything is held
MAX_SAMPLES = 256
WINDOW = 8

NAME = re.compile(r"[a-z0-9_.:\-]*")
KNOWN_NAMES = 10_000

Code = Literal["bad_frame", "bad_version", "unavailable"]
ClientId = Annotated[str, Meta(pattern=r"^[0-9a-f]{8,32}\Z")]
Seq = Annotated[int, Meta(ge=1, le=2**53 - 1)]


class ClientFrame(msgspec.Struct, gc=False):
    v: int
    client: ClientId
    seq: Seq
    samples: Annotated[list[Sample], Meta(max_length=MAX_SAMPLES)]
    now: Text200 | UnsetType = UNSET
    state: Literal["busy", "idle", "waiting"] | UnsetType = UNSET
    dropped: ByteCount = 0


class _Envelope(msgspec.Struct):
    """What can be said of a frame before it is known to be well formed."""

    v: Any = None
    seq: Any = None


class FrameError(Exception):
    """A frame that isn't taken. The text says what to do about it."""

    def __init__(self, code: Code, text: str, seq: int | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.seq = seq


encode_msgpack = msgspec.msgpack.Encoder().encode
encode_json = msgspec.json.Encoder().encode
decode_msgpack = msgspec.msgpack.Decoder(ClientFrame).decode
decode_json = msgspec.json.Decoder(ClientFrame).decode
msgpack_envelope = msgspec.msgpack.Decoder(_Envelope).decode
json_envelope = msgspec.json.Decoder(_Envelope).decode
# Kinds and kinds of waits that were found right: agents use a few dozen, and each sample has two.
known_names: set[str] = set()


def decode_frame(data: bytes | str) -> ClientFrame:
    """A checked and cleaned frame. Raises FrameError."""
    try:
        frame = decode_json(data) if isinstance(data, str) else decode_msgpack(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        _explain(data, error)
    if frame.v != VERSION:
        raise _wrong_version(frame.seq)
    _check_names(frame)
    _clean(frame)
    return frame


def _explain(data: bytes | str, error: Exception) -> NoReturn:
    try:
        envelope = json_envelope(data) if isinstance(data, str) else msgpack_envelope(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise FrameError("bad_frame", f"Not a frame: {error}. See docs/reference/wire.md.") from error
    seq = envelope.seq if type(envelope.seq) is int else None
    if type(envelope.v) is int and envelope.v != VERSION:
        raise _wrong_version(seq) from error
    raise FrameError("bad_frame", f"Not a frame: {error}. See docs/reference/wire.md.", seq) from error


def _wrong_version(seq: int | None) -> FrameError:
    return FrameError("bad_version", f'This gateway speaks version {VERSION}: send "v": {VERSION}.', seq)


def _check_names(frame: ClientFrame) -> None:
    names = {sample.kind for sample in frame.samples}
    names.update([sample.wait_kind for sample in frame.samples])
    fresh = names - known_names
    for name in fresh:
        if not NAME.fullmatch(name):
            what = f"a kind has characters of a-z 0-9 _ . : - and isn't {name!r}"
            raise FrameError("bad_frame", f"Not a frame: {what}. See docs/reference/wire.md.", frame.seq)
    if len(known_names) + len(fresh) <= KNOWN_NAMES:
        known_names.update(fresh)


def _clean(frame: ClientFrame) -> None:
    """Takes terminal escapes and control characters out of what people will read."""
    if isinstance(frame.now, str) and not frame.now.isprintable():
        frame.now = plain_text(frame.now, 200)
    # Most samples of a frame say the same, or nothing.
    said = {sample.note for sample in frame.samples}
    said.update([sample.task for sample in frame.samples])
    if all(map(str.isprintable, said)):
        return
    for sample in frame.samples:
        if not sample.note.isprintable():
            sample.note = plain_text(sample.note, 200)
        if not sample.task.isprintable():
            sample.task = plain_text(sample.task, 200)


def stored(frame: ClientFrame, holder: TokenHolder) -> Frame:
    """What goes into the stream. Whose it is, the token says and nothing in the frame."""
    said = None
    if frame.now is not UNSET or frame.state is not UNSET:
        said = Said(at=time.time(), now=frame.now, state=frame.state)
    return Frame(
        agent=holder.pk,
        group=holder.group,
        role=holder.role,
        client=frame.client,
        seq=frame.seq,
        body=encode_body(frame.samples) if frame.samples else b"",
        said=said,
        host=holder.host,
        repository=holder.repository,
    )


def hello(agent: str) -> dict[str, Any]:
    limits = {"agent": agent, "max_samples": MAX_SAMPLES, "max_bytes": MAX_BYTES, "window": WINDOW}
    return {"v": VERSION, "hello": limits}


def acknowledgement(seq: int) -> dict[str, Any]:
    return {"v": VERSION, "ack": seq}


def refusal(code: Code, text: str, seq: int | None) -> dict[str, Any]:
    return {"v": VERSION, "error": text, "code": code, "seq": seq}
