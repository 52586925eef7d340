"""An agent's output as text for a page: whole lines, without what terminals would obey."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from apps.fleet import logs
from apps.lib.text import terminal_text

TAIL = 64 * 1024
MATCHES = 200
CANDIDATES = 5_000
MAX_PARTIAL = 4096


@dataclass(frozen=True, slots=True)
class Piece:
    """Lines from byte `start` to byte `end`, and what follows of a line that isn't ended yet. `first` is the oldest
    byte that is kept, `skipped` counts bytes that were asked for and are gone."""

    text: str
    start: int
    end: int
    first: int
    skipped: int = 0
    partial: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def newest(run_dir: Path) -> Piece:
    """The end of the output, from the start of a line."""
    return before(run_dir, logs.total(run_dir))


def after(run_dir: Path, offset: int) -> Piece:
    """What came after `offset`, up to the last whole line; at most TAIL bytes."""
    chunk = logs.read(run_dir, offset, TAIL)
    size = whole_lines(chunk.data)
    return piece(run_dir, chunk.data[:size], chunk.offset, chunk.skipped, chunk.data[size:])


def before(run_dir: Path, offset: int) -> Piece:
    """The lines that end at `offset`; at most TAIL bytes."""
    oldest = logs.first(run_dir)
    begin, data = between(run_dir, max(oldest, offset - TAIL), offset)
    if begin > oldest:
        cut = data.find(b"\n") + 1
        data, begin = data[cut:], begin + cut
    size = whole_lines(data)
    return piece(run_dir, data[:size], begin, 0, data[size:])


def between(run_dir: Path, start: int, end: int) -> tuple[int, bytes]:
    """What is still there between two offsets, and where that begins. A single read ends with its segment."""
    begin, parts = start, b""
    while begin + len(parts) < end:
        chunk = logs.read(run_dir, begin + len(parts), end - begin - len(parts))
        if not chunk.data:
            break
        if chunk.skipped:
            begin, parts = chunk.offset, b""
        parts += chunk.data
    return begin, parts


def whole_lines(data: bytes) -> int:
    """Bytes up to the last line end. A block without any is shown as it is: it won't get better by waiting."""
    end = data.rfind(b"\n") + 1
    if end == 0 and len(data) >= TAIL:
        return len(data)
    return end


def piece(run_dir: Path, data: bytes, start: int, skipped: int, rest: bytes = b"") -> Piece:
    return Piece(
        as_text(data), start, start + len(data), logs.first(run_dir), skipped, as_text(rest[-MAX_PARTIAL:])
    )


def as_text(data: bytes) -> str:
    return terminal_text(data.decode("utf-8", "replace"))


def matches(run_dir: Path, text: str) -> list[dict[str, Any]]:
    """The newest lines in which a reader sees `text`, oldest of them first.

    Colours may lie between the words that are seen side by side, so one word is looked for in the raw bytes, and
    the whole text in what is left of those lines.
    """
    words = text.split()
    if not words:
        return []
    raw = logs.search(run_dir, max(words, key=len).encode(), CANDIDATES)
    lines = ((match.offset, as_text(match.line)) for match in raw)
    found = [{"offset": offset, "line": line} for offset, line in lines if text in line]
    return found[:MATCHES][::-1]
