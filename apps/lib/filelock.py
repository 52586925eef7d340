"""One holder of a file at a time, let go by the kernel when that process ends."""

import fcntl
import os
from pathlib import Path


class HeldElsewhere(Exception):
    """Another process holds the lock; `note` is what it wrote there for people."""

    def __init__(self, path: Path, note: str) -> None:
        self.note = note
        super().__init__(f"{path} is held by another process: {note}")


class FileLock:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def take(self, note: str) -> None:
        """Raises HeldElsewhere."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held = os.read(descriptor, 500).decode("utf-8", "replace").strip()
            os.close(descriptor)
            raise HeldElsewhere(self.path, held) from None
        self._descriptor = descriptor
        self.note(note)

    def note(self, text: str) -> None:
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, text.encode(), 0)

    def release(self) -> None:
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None
