"""Waits for locks that a build tool tells on its output."""

from __future__ import annotations

_ANNOUNCEMENT = b"Blocking waiting for file lock on "
_KINDS = (
    (b"build directory", "build-directory"),
    (b"artifact directory", "artifact-directory"),
    (b"package cache", "package-cache"),
    (b"shared package cache", "package-cache"),
)
_LONGEST_LINE = 4096


class LockWatch:
    """cargo says when it begins to wait, not when it got the lock: the next line it prints is taken for that.

    This tells some 30 to 50 ms too much, and everything when the wait ends without another line.
    """

    def __init__(self) -> None:
        self.wait_ms = 0.0
        self.kind = ""  # of the longest wait
        self._longest = 0.0
        self._line = b""
        self._waiting: tuple[str, float] | None = None

    def feed(self, chunk: bytes, now: float) -> None:
        *lines, self._line = (self._line + chunk).split(b"\n")
        self._line = self._line[-_LONGEST_LINE:]
        for line in lines:
            self._take(line, now)

    def finish(self, now: float) -> None:
        self._take(b"", now)

    def _take(self, line: bytes, now: float) -> None:
        if self._waiting is not None:
            kind, since = self._waiting
            waited = (now - since) * 1000
            self.wait_ms += waited
            if waited >= self._longest:
                self._longest, self.kind = waited, kind
            self._waiting = None
        _, found, what = line.partition(_ANNOUNCEMENT)
        if found:
            self._waiting = (kind_of(what), now)


def kind_of(what: bytes) -> str:
    return next((kind for name, kind in _KINDS if name in what), "build-tool")
