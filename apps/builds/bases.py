"""A base as it is on disk, below `builds/bases/<repository>`.

    workspace/  a worktree of the repository, detached at the commit
    built/      a build directory for each key
    log         what its last build printed
    lock        held alone by whoever changes the base, shared by those who make build directories from it
    ready       what the base is, written last; removed before anything is changed

So a base that was being built when its builder was killed isn't there for anybody, until the next build went through.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import msgspec

from apps.builds.seeding import FINGERPRINTS, changed_since
from apps.lib.paths import write_whole
from apps.lib.regular import read_regular

POLL = 0.05
LARGEST = 10_000_000
BLOCK = 512  # what the kernel counts blocks in


class NotReady(Exception):
    """Nothing can be made from it now; the text says why."""


class Ready(msgspec.Struct, frozen=True):
    """`own`: names of the repository's own crates. `same_path`: built at the path where agents see theirs."""

    commit: str
    built_at: float
    same_path: bool
    own: tuple[str, ...] = ()
    # Its build left files between the sources. A checkout without them would lack what its build directory takes for
    # made, so nothing of the repository's own crates is given to others.
    leaves_files: bool = False


class OnDisk:
    def __init__(self, place: Path) -> None:
        self.place = place
        self.workspace, self.built, self.log = place / "workspace", place / "built", place / "log"
        self._ready, self._lock = place / "ready", place / "lock"

    @contextmanager
    def to_change(self, *, until: float) -> Iterator[Ready | None]:
        """Alone with it, and nothing can be made from it until `finish`; gives what it was, if it was whole. Raises
        NotReady at `until`, monotonic time."""
        self.place.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._held(fcntl.LOCK_EX, until, "agents' build directories are being made from it"):
            before = self._read()
            self._ready.unlink(missing_ok=True)
            yield before

    @contextmanager
    def to_read(self, *, until: float) -> Iterator[Ready]:
        """It doesn't change meanwhile. Raises NotReady, after waiting until `until` for one that is being built."""
        if not self.place.is_dir():
            raise NotReady("it was never built")
        with self._held(fcntl.LOCK_SH, until, "it is being built"):
            ready = self._read()
            if ready is None:
                raise NotReady("its last build didn't go through")
            if ready.built_at > time.time():
                raise NotReady("the clock was set back since it was built")
            yield ready

    def _read(self) -> Ready | None:
        try:
            return decode(read_regular(self._ready, LARGEST))
        except (OSError, msgspec.MsgspecError):
            return None

    def finish(self, ready: Ready) -> None:
        write_whole(self._ready, msgspec.json.encode(ready))

    def keys(self) -> list[str]:
        """Names of its build directories."""
        return sorted(path.name for path in self.built.iterdir() if (path / "CACHEDIR.TAG").is_file())

    def is_spoiled(self, before: Ready | None) -> bool:
        """Whether its directories must not be built on: see Spoiled, and the clock may have been set back."""
        if not self.built.exists():
            return False
        return self.is_of_the_future() or bool(before and changed_since(self.built, before.built_at))

    def is_of_the_future(self) -> bool:
        """Whether something was built later than now: what is changed from here on would seem older than that."""
        below = f"{FINGERPRINTS}/*/invoked.timestamp"  # of a profile, or of a profile of a target
        stamps = chain(self.built.glob(f"*/*/{below}"), self.built.glob(f"*/*/*/{below}"))
        return max((stamp.stat().st_mtime for stamp in stamps), default=0.0) > time.time()

    def size(self) -> int:
        return blocks_below(self.built)

    @contextmanager
    def _held(self, kind: int, until: float, by_whom: str) -> Iterator[None]:
        descriptor = os.open(self._lock, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while not has_locked(descriptor, kind):
                if time.monotonic() >= until:
                    raise NotReady(by_whom)
                time.sleep(POLL)
            yield
        finally:
            os.close(descriptor)


def has_locked(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def blocks_below(directory: Path) -> int:
    """Bytes on disk; a file with several names counts once."""
    seen: set[int] = set()
    total = 0
    for place, _, names in os.walk(directory):
        for name in (".", *names):
            status = os.lstat(os.path.join(place, name))  # noqa: PTH118 - many of them
            if status.st_ino not in seen:
                seen.add(status.st_ino)
                total += status.st_blocks * BLOCK
    return total


decode = msgspec.json.Decoder(Ready).decode
