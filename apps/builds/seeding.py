"""A warm build directory for a new agent, from one that is built already.

Where the file system can share blocks (reflinks), every file is a copy that costs nothing. Elsewhere what compilers and
linkers make anew and never change in place is hard-linked, and all that cargo writes into in place is copied: with hard
links for all of it an agent's build would change its neighbours', and code that doesn't compile was reported fresh.

Where the agent's checkout has another path than the base's, only what was built of others' crates is of use: those of
the repository itself have their path in them.
"""

import errno
import fcntl
import os
import re
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from apps.builds.programs import linkers_of
from apps.lib.paths import remove_tree

CARGO_LOCK = ".cargo-lock"
# What rustc and linkers write under a new name, or after they removed the old file.
LINKED = {".rlib", ".rmeta", ".so", ".o", ".bin", ".dylib", ".a"}
# Where a crate's metadata didn't change, rustc gives this file out as its result, by a link, and cargo then sets the
# time of that: whoever shares the file sees it change.
GIVEN_OUT = "metadata.rmeta"
MADE_BY_LINKERS = {".so", ".dylib"}
FICLONE = 0x40049409
AT_ONCE = 1 << 24  # bytes of a file, in one system call
CANNOT_SHARE = {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS}
# Linkers that may write into the file that is there. Cargo removes a program before it is linked anew, but not tests;
# and with other flags for the linker, files have other names.
IN_PLACE = (b"mold ", b"Wild ")
HASHED = re.compile(r"(?:lib)?(?P<name>.+)-[0-9a-f]{16}(?:\..*)?")  # cargo's and rustc's names
FINGERPRINTS = ".fingerprint"
HOLDS_UNITS = (FINGERPRINTS, "build", "deps")
OF_OTHERS = (CARGO_LOCK, *HOLDS_UNITS)  # what there is in a profile's directory of crates of others
SEEDING = ".seeding"  # ends the name of one that isn't whole yet


class NothingToSeed(Exception):
    """The base isn't there; the text says so."""


class Spoiled(Exception):
    """Somebody wrote into the base since it was built: past cargo, into a file that he shares with it."""


@dataclass(slots=True)
class Seeded:
    shared: int = 0  # files by reflink
    linked: int = 0
    copied: int = 0
    copied_bytes: int = 0


Skip = Callable[[Path, str], bool]  # a directory inside the base, and the name of something in it


def seed(base: Path, target: Path, *, without: Collection[str] = (), built_at: float | None = None) -> Seeded:
    """Make `target` a build directory like `base`, whole or not at all. No build of the base runs meanwhile; one that
    runs is waited for. `without`: names of crates, and with any, nothing is taken but what was built of others.
    `built_at`: unix seconds after which nothing in the base may have changed.
    Raises NothingToSeed, Spoiled, FileExistsError or OSError."""
    if not base.is_dir():
        raise NothingToSeed(f"There is no warm build directory at {base} yet.")
    if target.exists():
        raise FileExistsError(errno.EEXIST, "there is a build directory already", str(target))
    unfinished = target.with_name(target.name + SEEDING)
    remove_tree(target.parent, unfinished)
    try:
        with held(base):
            clone = Clone(base, others_only(base, without) if without else everything, built_at)
            clone.directory(str(base), str(unfinished))
        unfinished.rename(target)
    except BaseException:
        remove_tree(target.parent, unfinished)
        raise
    return clone.seeded


@contextmanager
def held(base: Path) -> Iterator[None]:
    """cargo's own locks of a build directory, one a profile. Shared: others may be seeded at the same time."""
    with ExitStack() as stack:
        for lock in locks_of(base):
            file = stack.enter_context(lock.open("rb"))
            fcntl.flock(file, fcntl.LOCK_SH)
        yield


def locks_of(directory: Path) -> list[Path]:
    """cargo's own locks of a build directory: of profiles, and of profiles of targets."""
    return sorted(directory.glob(f"*/{CARGO_LOCK}")) + sorted(directory.glob(f"*/*/{CARGO_LOCK}"))


def changed_since(directory: Path, at: float) -> str:
    """The path inside of it of one file that was written later; "" for none."""
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if found := changed_since(Path(entry.path), at):
                    return f"{entry.name}/{found}"
            elif entry.stat(follow_symlinks=False).st_mtime > at:
                return entry.name
    return ""


def everything(place: Path, name: str) -> bool:
    return False


def others_only(base: Path, own: Collection[str]) -> Skip:
    """Leaves out what is made of the crates `own`: without its fingerprint, cargo builds a crate from the start. What
    lies at the top of a profile's directory, and incremental state, is only ever of the repository's own crates."""
    names = {name.replace("-", "_") for name in own}

    def skip(place: Path, name: str) -> bool:
        if place.name in HOLDS_UNITS:
            found = HASHED.fullmatch(name)
            return found is not None and found["name"].replace("-", "_") in names
        return (base / place / FINGERPRINTS).is_dir() and name not in OF_OTHERS

    return skip


class Clone:
    """Of one tree. Thousands of files, while somebody waits for it: a handful of system calls for each, and no paths as
    objects. Times are kept to the nanosecond, as cargo compares them."""

    def __init__(self, base: Path, skip: Skip, built_at: float | None) -> None:
        self.base, self.skip, self.built_at = base, skip, built_at
        self.can_share = True
        self.copies: dict[int, str] = {}  # by the number of the inode, of what has several names
        self.seeded = Seeded()

    def directory(self, source: str, target: str) -> None:
        os.mkdir(target)  # noqa: PTH102
        inside = Path(source).relative_to(self.base)
        with os.scandir(source) as entries:
            for entry in entries:
                if self.skip(inside, entry.name):
                    continue
                copy = f"{target}/{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    self.directory(entry.path, copy)
                elif entry.is_symlink():
                    os.symlink(os.readlink(entry.path), copy)  # noqa: PTH115, PTH211
                else:
                    self.file(entry.path, copy, entry.stat(follow_symlinks=False))
        keep_times(os.stat(source), target)  # last: its time changes with each file in it  # noqa: PTH116

    def file(self, source: str, copy: str, status: os.stat_result) -> None:
        if self.built_at is not None and status.st_mtime > self.built_at:
            changed = Path(source).relative_to(self.base)
            raise Spoiled(f"{changed} was changed after it was built")
        if self.can_share:
            self.can_share = copied(source, copy, status, share)
        if self.can_share:
            self.seeded.shared += 1
        elif is_made_anew(source, status) and linked(source, copy):
            self.seeded.linked += 1
        elif status.st_ino in self.copies:
            os.link(self.copies[status.st_ino], copy)  # cargo gives a program two names
        else:
            copied(source, copy, status, send)
            self.seeded.copied += 1
            self.seeded.copied_bytes += status.st_size
            if status.st_nlink > 1:
                self.copies[status.st_ino] = copy


def linked(source: str, copy: str) -> bool:
    """False where the file system can't, or the file has as many names as it may have."""
    try:
        os.link(source, copy)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EMLINK, errno.EPERM):
            raise
        return False
    return True


def copied(source: str, copy: str, status: os.stat_result, fill: Callable[[int, int], bool]) -> bool:
    """With its mode and times; nothing is left where it can't be filled."""
    old = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        new = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            if not fill(new, old):
                os.unlink(copy)  # noqa: PTH108
                return False
            os.fchmod(new, stat.S_IMODE(status.st_mode))
            keep_times(status, new)
        finally:
            os.close(new)
    finally:
        os.close(old)
    return True


def share(new: int, old: int) -> bool:
    """Its blocks, for both. False where the file system can't."""
    try:
        fcntl.ioctl(new, FICLONE, old)
    except OSError as error:
        if error.errno not in CANNOT_SHARE:
            raise
        return False
    return True


def send(new: int, old: int) -> bool:
    while os.sendfile(new, old, None, AT_ONCE):
        pass
    return True


def is_made_anew(path: str, status: os.stat_result) -> bool:
    """Libraries and objects, and programs of a linker that makes a new file: never written into once they are there."""
    if path.endswith(f"/{GIVEN_OUT}"):
        return False
    suffix = os.path.splitext(path)[1]  # noqa: PTH122
    if suffix in LINKED and suffix not in MADE_BY_LINKERS:
        return True
    is_program = suffix in MADE_BY_LINKERS or (not suffix and bool(status.st_mode & stat.S_IXUSR))
    if not is_program:
        return False
    linkers = linkers_of(Path(path))
    return bool(linkers) and not any(name in linkers for name in IN_PLACE)


def keep_times(status: os.stat_result, copy: str | int) -> None:
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
