"""A warm build directory for a new agent, from one that is built already.

Where the file system can share blocks (reflinks), every file is a copy that costs nothing. Elsewhere what compilers and
linkers make anew and never change in place is hard-linked, and all that cargo writes into in place is copied: with hard
links for all of it an agent's build would change its neighbours', and code that doesn't compile was reported fresh.
"""

import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from apps.lib.paths import remove_tree

CARGO_LOCK = ".cargo-lock"
# What rustc and linkers write under a new name, or after they removed the old file.
LINKED = {".rlib", ".rmeta", ".so", ".o", ".bin", ".dylib", ".a"}
FICLONE = 0x40049409
CANNOT_SHARE = {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS}
SEEDING = ".seeding"  # ends the name of one that isn't whole yet


class NothingToSeed(Exception):
    """The base isn't there; the text says so."""


@dataclass(frozen=True, slots=True)
class Seeded:
    shared: int = 0  # files by reflink
    linked: int = 0
    copied: int = 0
    copied_bytes: int = 0


def seed(base: Path, target: Path) -> Seeded:
    """Make `target` a build directory like `base`, whole or not at all. No build of the base runs meanwhile; one that
    runs is waited for. Raises NothingToSeed, FileExistsError or OSError."""
    if not base.is_dir():
        raise NothingToSeed(f"There is no warm build directory at {base} yet.")
    if target.exists():
        raise FileExistsError(errno.EEXIST, "there is a build directory already", str(target))
    unfinished = target.with_name(target.name + SEEDING)
    remove_tree(target.parent, unfinished)
    try:
        with held(base):
            seeded = clone_tree(base, unfinished)
        unfinished.rename(target)
    except BaseException:
        remove_tree(target.parent, unfinished)
        raise
    return seeded


@contextmanager
def held(base: Path) -> Iterator[None]:
    """cargo's own locks of a build directory, one a profile. Shared: others may be seeded at the same time."""
    with ExitStack() as stack:
        for lock in sorted(base.glob(f"*/{CARGO_LOCK}")) + sorted(base.glob(f"*/*/{CARGO_LOCK}")):
            file = stack.enter_context(lock.open("rb"))
            fcntl.flock(file, fcntl.LOCK_SH)
        yield


def clone_tree(base: Path, target: Path) -> Seeded:
    """Times are kept to the nanosecond: cargo compares them."""
    seeded = Seeded()
    can_share = True
    for place, directories, names in os.walk(base):
        here = target / Path(place).relative_to(base)
        here.mkdir(parents=True)
        for name in names:
            source, copy = Path(place) / name, here / name
            if source.is_symlink():
                copy.symlink_to(source.readlink())
                continue
            if can_share:
                can_share = share(source, copy)
            seeded = (
                replace(seeded, shared=seeded.shared + 1)
                if can_share
                else linked_or_copied(source, copy, seeded)
            )
        directories.sort()
    for place, _, _ in os.walk(base, topdown=False):  # a directory's time changes with each file in it
        keep_times(Path(place), target / Path(place).relative_to(base))
    return seeded


def share(source: Path, copy: Path) -> bool:
    """A copy that shares the blocks. False where the file system can't; nothing is left then."""
    with source.open("rb") as old, copy.open("xb") as new:
        try:
            fcntl.ioctl(new, FICLONE, old.fileno())
        except OSError as error:
            copy.unlink()
            if error.errno not in CANNOT_SHARE:
                raise
            return False
    shutil.copystat(source, copy)
    return True


def linked_or_copied(source: Path, copy: Path, seeded: Seeded) -> Seeded:
    status = source.stat()
    if is_made_anew(source, status):
        try:
            copy.hardlink_to(source)
            return replace(seeded, linked=seeded.linked + 1)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EMLINK, errno.EPERM):
                raise
    shutil.copy2(source, copy)
    return replace(seeded, copied=seeded.copied + 1, copied_bytes=seeded.copied_bytes + status.st_size)


def is_made_anew(path: Path, status: os.stat_result) -> bool:
    """Libraries, objects and programs: never written into once they are there."""
    if path.suffix in LINKED:
        return True
    return not path.suffix and bool(status.st_mode & stat.S_IXUSR)


def keep_times(source: Path, copy: Path) -> None:
    status = source.stat()
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
