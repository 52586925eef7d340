"""The plain case of RFC 6455: whole binary messages of a client, and messages of a server."""

import struct

try:
    from websockets.speedups import apply_mask
except ImportError:  # no wheel for this machine
    from websockets.utils import apply_mask

BINARY, TEXT = 0x82, 0x81  # a last frame, which is also a first one
MASKED = 0x80
TWO_BYTES, EIGHT_BYTES = 126, 127


def whole_messages(data: bytes, most: int) -> tuple[list[bytes], bytes]:
    """The messages at the beginning of `data`, each binary, in one masked frame of at most `most` bytes and all there;
    and the rest, from the first that isn't like that."""
    found: list[bytes] = []
    place, end = 0, len(data)
    while end - place > 5 and data[place] == BINARY and data[place + 1] & MASKED:
        size, start = data[place + 1] ^ MASKED, place + 2
        if size == TWO_BYTES:
            size, start = int.from_bytes(data[start : start + 2]), start + 2
            if size < TWO_BYTES:
                break  # not as short as it could be, which is an error
        elif size == EIGHT_BYTES:
            size, start = int.from_bytes(data[start : start + 8]), start + 8
            if size < 1 << 16:
                break
        body = start + 4
        if size > most or body + size > end:
            break
        place = body + size
        found.append(apply_mask(data[body:place], data[start:body]))
    return found, data[place:] if place else data


def framed(payload: bytes, kind: int) -> bytes:
    size = len(payload)
    if size < TWO_BYTES:
        return bytes((kind, size)) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", kind, TWO_BYTES, size) + payload
    return struct.pack("!BBQ", kind, EIGHT_BYTES, size) + payload
