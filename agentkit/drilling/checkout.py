"""The files of a checkout, reached by directory handles: nothing outside it is read or written."""

from __future__ import annotations

import os
import stat

from agentkit.drilling.edits import LARGEST, NotEditable

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Checkout:
    def __init__(self, root: str) -> None:
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def read(self, path: str) -> bytes:
        """The content of a regular, writable file. Raises NotEditable, also for a symlink on the way."""
        content, _ = self._read(path)
        return content

    def write(self, path: str, content: bytes) -> None:
        """Replace the file in one step, so that a hard link elsewhere keeps its content. Raises OSError."""
        mode = 0o644
        if self.exists(path):
            mode = self._read(path)[1]
        parent, name = self._open_parent(path)
        temporary = f".drill-{os.getpid()}.tmp"
        try:
            remove(temporary, parent)  # a killed drill with the same pid, as happens in containers
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=parent)
            try:
                with os.fdopen(fd, "wb") as file:
                    os.fchmod(file.fileno(), mode)
                    file.write(content)
                os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
            except BaseException:
                remove(temporary, parent)
                raise
        finally:
            os.close(parent)

    def exists(self, path: str) -> bool:
        try:
            parent, name = self._open_parent(path)
        except NotEditable:
            return False
        try:
            os.stat(name, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return False
        else:
            return True
        finally:
            os.close(parent)

    def _read(self, path: str) -> tuple[bytes, int]:
        parent, name = self._open_parent(path)
        try:
            fd = os.open(name, _FILE, dir_fd=parent)
        except OSError as error:
            raise NotEditable(error.strerror or "can't be opened") from error
        finally:
            os.close(parent)
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise NotEditable("not a regular file")
            if not status.st_mode & stat.S_IWUSR:
                raise NotEditable("read-only")
            with os.fdopen(os.dup(fd), "rb") as file:
                content = file.read(max(LARGEST.values()) + 1)
        finally:
            os.close(fd)
        return content, stat.S_IMODE(status.st_mode)

    def _open_parent(self, path: str) -> tuple[int, str]:
        *directories, name = path.split("/")
        if name in ("", ".", "..") or ".git" in directories:
            raise NotEditable("not a file of the checkout")
        here = os.dup(self._root)
        for directory in directories:
            if directory in ("", ".", ".."):
                os.close(here)
                raise NotEditable("outside the checkout")
            try:
                inner = os.open(directory, _DIRECTORY, dir_fd=here)
            except OSError as error:
                raise NotEditable(error.strerror or "can't be reached") from error
            finally:
                os.close(here)
            here = inner
        return here, name


def remove(name: str, parent: int) -> None:
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        pass
