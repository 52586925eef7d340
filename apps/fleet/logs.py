"""An agent's output, as its launcher keeps it: the last one to two segments of a stream of bytes.

An offset counts bytes since the agent began, so it stays true while old segments go away. The logger may
remove a segment at any moment; what is then missing at the front is reported as `skipped`, never guessed.
"""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from apps.lib.regular import opened_regular, read_regular

BLOCK = 256 * 1024
LINE_LIMIT = 2000  # bytes of a line that a search returns
# Strict and bounded: an agent may put any file beside these, and an offset has to fit into its row.
SEGMENT_NAME = re.compile(r"out\.([1-9][0-9]{0,8})", re.ASCII)
SEGMENT_LENGTH = re.compile(rb"([1-9][0-9]{0,8})\n?")


@dataclass(frozen=True, slots=True)
class Chunk:
    data: bytes
    offset: int  # of the first byte in `data`
    next_offset: int  # where to read on
    skipped: int = 0  # bytes that were asked for and are gone


@dataclass(frozen=True, slots=True)
class Match:
    offset: int  # of the first byte in `line`
    line: bytes  # without its end; cut around the needle when it is long


@dataclass(frozen=True, slots=True)
class _Segment:
    path: Path
    start: int  # offset of its first byte
    size: int

    @property
    def end(self) -> int:
        return self.start + self.size


def total(run_dir: Path) -> int:
    """Bytes that the agent has printed so far, those that are gone included."""
    segments = _segments(run_dir)
    return segments[-1].end if segments else 0


def first(run_dir: Path) -> int:
    """Offset of the oldest byte that is still there."""
    segments = _segments(run_dir)
    return segments[0].start if segments else 0


def read(run_dir: Path, offset: int, limit: int = BLOCK) -> Chunk:
    """Up to `limit` bytes from `offset` on; a negative offset counts from the end. Empty at the end."""
    while True:
        segments = _segments(run_dir)
        end = segments[-1].end if segments else 0
        start = max(0, end + offset) if offset < 0 else offset
        segment = next((one for one in segments if one.end > start), None)
        if segment is None:
            return Chunk(b"", min(start, end), min(start, end))
        at = max(start, segment.start)
        try:
            with opened_regular(segment.path) as fd:
                data = os.pread(fd, min(limit, segment.end - at), at - segment.start)
        except FileNotFoundError:  # rotated away since it was listed
            continue
        return Chunk(data, at, at + len(data), skipped=at - start)


def tail(run_dir: Path, *, lines: int | None = None, limit: int = BLOCK) -> Chunk:
    """The end of the output: at most `limit` bytes, and at most the last `lines` lines of those."""
    end = total(run_dir)
    pieces = _pieces(run_dir, max(0, end - limit), end)
    offset, data = pieces[-1] if pieces else (end, b"")
    kept = data if lines is None else _last_lines(data, lines)
    offset += len(data) - len(kept)
    return Chunk(kept, offset, offset + len(kept))


def _last_lines(data: bytes, lines: int) -> bytes:
    at = len(data) - 1 if data.endswith(b"\n") else len(data)
    for _line in range(lines):
        at = data.rfind(b"\n", 0, at)
        if at < 0:
            return data
    return data[at + 1 :]


def iter_all(run_dir: Path) -> Iterator[bytes]:
    """All that is there at this moment, in blocks; what is printed meanwhile is left for the next time."""
    for chunk in _chunks(run_dir, 0, total(run_dir)):
        yield chunk.data


def search(run_dir: Path, needle: bytes, limit: int = 100) -> list[Match]:
    """The last `limit` lines that hold `needle`, newest first. Reads all that is kept into memory."""
    found: list[Match] = []
    if not needle or b"\n" in needle:
        return found
    for base, data in reversed(_pieces(run_dir, 0, total(run_dir))):
        at = data.rfind(needle)
        while at >= 0 and len(found) < limit:
            begin, end = _line_around(data, at, len(needle))
            found.append(Match(base + begin, data[begin:end]))
            at = data.rfind(needle, 0, begin)
    return found


def _line_around(data: bytes, at: int, length: int) -> tuple[int, int]:
    reach = max(0, LINE_LIMIT - length)
    begin = data.rfind(b"\n", max(0, at - reach // 2), at) + 1 or max(0, at - reach // 2)
    end = data.find(b"\n", at, begin + reach + length)
    return begin, end if end >= 0 else min(len(data), begin + reach + length)


def _pieces(run_dir: Path, start: int, end: int) -> list[tuple[int, bytes]]:
    """What is there between two offsets: one piece, or more with gaps between them, each with its offset."""
    pieces: list[tuple[int, list[bytes]]] = []
    for chunk in _chunks(run_dir, start, end):
        if chunk.skipped or not pieces:
            pieces.append((chunk.offset, []))
        pieces[-1][1].append(chunk.data)
    return [(offset, b"".join(parts)) for offset, parts in pieces]


def _chunks(run_dir: Path, start: int, end: int) -> Iterator[Chunk]:
    while start < end:
        chunk = read(run_dir, start, min(BLOCK, end - start))
        if not chunk.data or chunk.offset >= end:
            return
        yield chunk
        start = chunk.next_offset


def _segments(run_dir: Path) -> list[_Segment]:
    """Oldest first. A segment begins where a full one before it would have ended."""
    try:
        stated = SEGMENT_LENGTH.fullmatch(read_regular(run_dir / "segment", 100))
    except OSError:
        return []
    if stated is None:
        return []
    length = int(stated[1])
    while numbers := _numbers(run_dir):
        # Listed again when one went away meanwhile: the others may be gone too, and new ones there.
        with suppress(FileNotFoundError):
            found = [_segment(run_dir, number, length) for number in numbers]
            return [segment for segment in found if segment]
    return []


def _segment(run_dir: Path, number: int, length: int) -> _Segment | None:
    """None for what is no file. One that is longer than a segment isn't the logger's work beyond that."""
    path = run_dir / f"out.{number}"
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        return None
    return _Segment(path, (number - 1) * length, min(status.st_size, length))


def _numbers(run_dir: Path) -> list[int]:
    try:
        names = os.listdir(run_dir)  # noqa: PTH208 - called for each viewer of each agent
    except FileNotFoundError:
        return []
    return sorted(int(match[1]) for name in names if (match := SEGMENT_NAME.fullmatch(name)))
