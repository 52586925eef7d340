"""Samples on disk, first in, first out, while the gateway is away for longer than memory should hold them.

The files have no name, so nothing is left of them after the process, however it ends. Standard library alone, and
imported only when memory is full.
"""

from __future__ import annotations

import marshal
import tempfile
from collections import deque

TYPE_CHECKING = False  # `typing` itself is a third of a client's start-up
if TYPE_CHECKING:
    from typing import BinaryIO

    from agentkit.samples import Sample

MAX_BYTES = 32 * 1024 * 1024
SEGMENT_BYTES = 4 * 1024 * 1024


class Segment:
    """A file that is written to its end and read from its start, then given back to the disk as a whole."""

    __slots__ = ("batches", "file", "size")

    def __init__(self, directory: str) -> None:
        self.file: BinaryIO = tempfile.TemporaryFile(dir=directory, buffering=0)  # noqa: SIM115
        self.batches: deque[tuple[int, int, int]] = deque()  # place, bytes, samples
        self.size = 0

    def write(self, data: bytes, count: int) -> None:
        """Raises OSError; then nothing of it counts as written."""
        self.file.seek(self.size)
        if self.file.write(data) != len(data):
            raise OSError("the disk took a part alone")
        self.batches.append((self.size, len(data), count))
        self.size += len(data)


class Spool:
    """At most MAX_BYTES in `directory`. `count`: samples in it."""

    def __init__(self, directory: str) -> None:
        self.count = 0
        self._directory = directory
        self._segments: deque[Segment] = deque()

    def push(self, samples: list[Sample]) -> bool:
        """False when there is no room for them, here or on the disk."""
        data = marshal.dumps(samples)
        self._let_go()
        if sum(segment.size for segment in self._segments) + len(data) > MAX_BYTES:
            return False
        try:
            if not self._segments or self._segments[-1].size >= SEGMENT_BYTES:
                self._segments.append(Segment(self._directory))
            self._segments[-1].write(data, len(samples))
        except OSError:
            return False
        self.count += len(samples)
        return True

    def pull(self) -> list[Sample]:
        """The oldest batch; empty when there is none, or when the disk doesn't give it back (`count` says which)."""
        self._let_go()
        if not self._segments:
            return []
        file = self._segments[0].file
        place, size, count = self._segments[0].batches.popleft()
        self.count -= count
        try:
            file.seek(place)
            samples: list[Sample] = marshal.loads(file.read(size))  # noqa: S302 - this very process wrote it
        except (OSError, ValueError, EOFError, TypeError):
            return []
        return samples

    def _let_go(self) -> None:
        """Of the files that hold nothing any more."""
        while self._segments and not self._segments[0].batches:
            self._segments.popleft().file.close()
