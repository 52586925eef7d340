"""Lines out of a stream of bytes, in bounded memory."""

MAX_LINE_BYTES = 1_048_576


class LineBuffer:
    """Splits at LF and CR (a progress bar rewrites its line with CR). A line above `limit` is dropped."""

    def __init__(self, limit: int = MAX_LINE_BYTES) -> None:
        self._limit = limit
        self._partial = bytearray()
        self._skipping = False
        self.skipped = 0

    @property
    def pending(self) -> int:
        """Bytes held of a line that hasn't ended."""
        return len(self._partial)

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` ends, without their ends; empty ones are left out."""
        pieces = data.splitlines(keepends=True)
        if not pieces:
            return []
        rest = b"" if pieces[-1].endswith((b"\n", b"\r")) else pieces.pop()
        lines = [line for line in (self._end(piece) for piece in pieces) if line]
        self._keep(rest)
        return lines

    def _end(self, piece: bytes) -> bytes:
        if not self._partial and not self._skipping and len(piece) <= self._limit:
            return piece.rstrip(b"\r\n")
        self._keep(piece)
        line = bytes(self._partial).rstrip(b"\r\n")
        self._partial.clear()
        self._skipping = False
        return line

    def _keep(self, piece: bytes) -> None:
        if self._skipping:
            return
        if len(self._partial) + len(piece) <= self._limit:
            self._partial += piece
            return
        self._skipping = True
        self.skipped += 1
        self._partial = bytearray()
