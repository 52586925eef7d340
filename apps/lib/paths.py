"""Files that are whole or made once, and removals that can't leave a root."""

import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path


class OutsideRoot(Exception):
    """A path that leads out of the directory it must stay in."""


def write_whole(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Readers see the old content or the new, never half of it, also after a power cut."""
    fd, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(fd, mode)
            os.fsync(fd)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_or_make(path: Path, make: Callable[[], str]) -> str:
    """A text that is made once and then kept; of several that make it at the same moment the first one wins."""
    if not path.exists():
        draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(make())
        try:
            path.hardlink_to(draft)  # whole or not at all
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()


def remove_tree(root: Path, path: str | os.PathLike[str]) -> bool:
    """Remove a file or directory inside `root`, links as links. False when there was nothing.

    Walks down by directory handles: a link that somebody puts in the way meanwhile is refused, not followed.
    """
    parts = _parts_below(root, path)
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=handle)
            os.close(handle)
            handle = inner
        _remove(parts[-1], handle)
    except FileNotFoundError:
        return False
    except NotADirectoryError as error:
        raise OutsideRoot(f"{os.fspath(path)!r} passes through a link or a file") from error
    finally:
        os.close(handle)
    return True


def _parts_below(root: Path, path: str | os.PathLike[str]) -> tuple[str, ...]:
    given = Path(path)
    try:
        parts = given.relative_to(root).parts if given.is_absolute() else given.parts
    except ValueError as error:
        raise OutsideRoot(f"{os.fspath(path)!r} is not inside {os.fspath(root)!r}") from error
    if not parts or ".." in parts:
        raise OutsideRoot(f"{os.fspath(path)!r} is not inside {os.fspath(root)!r}")
    return parts


def _remove(name: str, parent: int) -> None:
    kind = os.stat(name, dir_fd=parent, follow_symlinks=False)
    if not stat.S_ISDIR(kind.st_mode):
        os.unlink(name, dir_fd=parent)
    else:
        shutil.rmtree(name, dir_fd=parent)
