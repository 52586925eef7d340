"""What made a program, by what it says of itself: compilers and linkers leave their names in its section `.comment`."""

import struct
from pathlib import Path
from typing import BinaryIO

HEADER = struct.Struct("<16s2HI3QI6H")  # of a 64-bit little-endian ELF file
SECTION = struct.Struct("<2I4Q2I2Q")
MAGIC = b"\x7fELF\x02\x01"
LARGEST = 65_536


def linkers_of(program: Path) -> bytes:
    """Names and versions, each ended by a zero; empty where there are none, or the format is another one."""
    try:
        with program.open("rb") as file:
            return comment_in(file)
    except (OSError, struct.error, ValueError):
        return b""


def comment_in(file: BinaryIO) -> bytes:
    head = HEADER.unpack(file.read(HEADER.size))
    if not head[0].startswith(MAGIC):
        return b""
    begin, size, count, names_at = head[6], head[11], head[12], head[13]
    file.seek(begin)
    table = file.read(size * count)
    sections = [SECTION.unpack_from(table, number * size) for number in range(count)]
    names = content_of(file, sections[names_at])
    for section in sections:
        if names[section[0] :].startswith(b".comment\0"):
            return content_of(file, section)
    return b""


def content_of(file: BinaryIO, section: tuple[int, ...]) -> bytes:
    file.seek(section[4])
    return file.read(min(section[5], LARGEST))
