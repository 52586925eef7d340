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
import shutil
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from apps.builds.programs import linkers_of
from apps.lib.paths import remove_tree

CARGO_LOCK = ".cargo-lock"
# What rustc and linkers write under a new name, or after they removed the old file.
LINKED = {".rlib", ".rmeta", ".so", ".o", ".bin", ".dylib", ".a"}
MADE_BY_LINKERS = {".so", ".dylib"}
FICLONE = 0x40049409
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


@dataclass(frozen=True, slots=True)
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
            if built_at is not None and (changed := changed_since(base, built_at)):
                raise Spoiled(f"{changed} was changed after it was built")
            seeded = clone_tree(base, unfinished, others_only(base, without) if without else everything)
        unfinished.rename(target)
    except BaseException:
        remove_tree(target.parent, unfinished)
        raise
    return seeded


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
    for place, _, names in os.walk(directory):
        for name in names:
            path = Path(place) / name
            if path.lstat().st_mtime > at:
                return str(path.relative_to(directory))
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


def clone_tree(base: Path, target: Path, skip: Skip = everything) -> Seeded:
    """Times are kept to the nanosecond: cargo compares them."""
    seeded = Seeded()
    can_share = True
    for place, directories, names in os.walk(base):
        inside = Path(place).relative_to(base)
        here = target / inside
        here.mkdir(parents=True)
        directories[:] = sorted(name for name in directories if not skip(inside, name))
        for name in names:
            if skip(inside, name):
                continue
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
    for place, _, _ in os.walk(target, topdown=False):  # a directory's time changes with each file in it
        keep_times(base / Path(place).relative_to(target), Path(place))
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
    """Libraries and objects, and programs of a linker that makes a new file: never written into once they are there."""
    if path.suffix in LINKED and path.suffix not in MADE_BY_LINKERS:
        return True
    is_program = path.suffix in MADE_BY_LINKERS or (not path.suffix and bool(status.st_mode & stat.S_IXUSR))
    if not is_program:
        return False
    linkers = linkers_of(path)
    return bool(linkers) and not any(name in linkers for name in IN_PLACE)


def keep_times(source: Path, copy: Path) -> None:
    status = source.stat()
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
