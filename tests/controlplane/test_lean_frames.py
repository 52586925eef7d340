"""Websocket frames in short: the same as what the library makes and reads, and everything odd is left alone."""

import random

import pytest
from websockets.frames import Frame, Opcode

from controlplane.lean_frames import BINARY, TEXT, framed, whole_messages

SIZES = [0, 1, 125, 126, 127, 65_535, 65_536, 100_000]
MOST = 1024 * 1024


def masked(payload: bytes, opcode: Opcode = Opcode.BINARY, *, fin: bool = True) -> bytes:
    return Frame(opcode, payload, fin).serialize(mask=True)


def test_messages_of_any_size_are_read_as_they_were_sent():
    chance = random.Random(1)
    payloads = [chance.randbytes(size) for size in SIZES]

    assert whole_messages(b"".join(map(masked, payloads)), MOST) == (payloads, b"")


def test_what_is_cut_off_anywhere_is_left_for_later():
    for size in (0, 5, 200, 70_000):
        whole = masked(b"x" * size)
        for end in {*range(min(len(whole), 30)), len(whole) - 1}:
            assert whole_messages(masked(b"before") + whole[:end], MOST) == ([b"before"], whole[:end])


ODD = {
    "text": masked(b"x", Opcode.TEXT),
    "a ping": masked(b"x", Opcode.PING),
    "a close": masked(b"\x03\xe8", Opcode.CLOSE),
    "a first fragment": masked(b"x", fin=False),
    "a later fragment": masked(b"x", Opcode.CONT),
    "no mask": Frame(Opcode.BINARY, b"x" * 20).serialize(mask=False),
    "reserved bits": b"\xc2" + masked(b"x")[1:],
    "a length that could be shorter": b"\x82\xfe\x00\x05mask" + b"x" * 5,
    "a length that could be much shorter": b"\x82\xff" + (200).to_bytes(8) + b"mask" + b"x" * 200,
    "too large": masked(b"x" * (MOST + 1)),
}


@pytest.mark.parametrize("what", ODD)
def test_everything_odd_is_left_to_who_knows_the_rules(what):
    after = masked(b"after")

    assert whole_messages(masked(b"before") + ODD[what] + after, MOST) == ([b"before"], ODD[what] + after)


@pytest.mark.parametrize("size", SIZES)
def test_messages_are_framed_as_the_library_does_it(size):
    payload = b"x" * size

    for kind, opcode in ((BINARY, Opcode.BINARY), (TEXT, Opcode.TEXT)):
        assert framed(payload, kind) == Frame(opcode, payload).serialize(mask=False)
