"""More checkouts of a commit like the one that git made: its files, read once, and an index that knows the new ones.

For git each checkout means to find and unpack every object again, and to ask for every path before it is
written: 17 ms of a core for 250 files, where a copy takes 6. The index is that of git's documentation
(gitformat-index, version 2); a checkout with anything unusual in it is left to git.
"""

import hashlib
import os
import stat
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from threading import Lock

from apps.lib.regular import opened_regular
from apps.workspaces import git

MOST_FILES = 20_000
MOST_BYTES = 64_000_000  # they are kept in memory while a job makes workspaces
HEADER = struct.Struct(">4sII")  # signature, version, number of entries
ENTRY = struct.Struct(
    ">10I20sH"
)  # ctime, mtime (each s and ns), dev, ino, mode, uid, gid, size; object; flags
EXTENSION = struct.Struct(">4sI")
NAME_LENGTH = 0x0FFF  # of the flags; the others tell of merges, or of files that aren't there on purpose
HASH_BYTES = 20
FILE, PROGRAM, LINK = 0o100644, 0o100755, 0o120000
LOW = 0xFFFFFFFF


class Unusual(Exception):
    """Something that git has to check out itself."""


@dataclass(frozen=True, slots=True)
class File:
    path: bytes
    mode: int  # FILE, PROGRAM or LINK
    blob: bytes  # object id
    content: bytes  # of a link, where it leads


@dataclass(frozen=True, slots=True)
class Checkout:
    directories: tuple[bytes, ...]  # parents first
    files: tuple[File, ...]  # in the index's order
    trees: bytes  # the index's extension that knows the directories' objects


class Checkouts:
    """Several of one commit, each on a branch of its own; may be called by several threads.

    The branches are made by one process, the first checkout is git's and the others are like it.
    """

    def __init__(self, repository: Path, commit: str, branches: Iterable[str]) -> None:
        self._repository, self._commit, self._branches = repository, commit, set(branches)
        self._lock = Lock()
        self._made: bool | None = None
        self._model: Checkout | None = None
        self._is_known = False

    def makes(self, branch: str) -> bool:
        """Whether `branch` has been made for its worktree, which is told once."""
        with self._lock:
            if self._made is None:
                self._made = git.create_branches(self._repository, self._branches, self._commit)
            is_new = self._made and branch in self._branches
            self._branches.discard(branch)
            return is_new

    def fill(self, worktree: Path, git_directory: Path) -> None:
        """Write the files of a worktree that was added. Raises GitFailed or OSError."""
        with self._lock:
            if not self._is_known:
                git.check_out(worktree)
                self._model, self._is_known = read_checkout(worktree, git_directory), True
                return
        if self._model is None:
            git.check_out(worktree)
        else:
            write_checkout(self._model, worktree, git_directory)


def read_checkout(worktree: Path, git_directory: Path) -> Checkout | None:
    """What git has just checked out; None when it is too big, or unusual."""
    try:
        entries, trees = parsed((git_directory / "index").read_bytes())
        files, room = [], MOST_BYTES
        for path, mode, blob in entries:
            content = content_of(os.path.join(os.fsencode(worktree), path), mode, room)  # noqa: PTH118 - bytes
            room -= len(content)
            files.append(File(path, mode, blob, content))
    except (Unusual, OSError, struct.error):
        return None
    parents = {bytes(parent) for file in files for parent in parents_of(file.path)}
    return Checkout(tuple(sorted(parents)), tuple(files), trees)


def parents_of(path: bytes) -> list[bytes]:
    return [os.fsencode(str(parent)) for parent in PurePosixPath(os.fsdecode(path)).parents][:-1]


def content_of(path: bytes, mode: int, room: int) -> bytes:
    if mode == LINK:
        return os.readlink(path)  # noqa: PTH115 - bytes; raises when git had to write a file in its place
    with opened_regular(Path(os.fsdecode(path))) as descriptor:
        found = os.fstat(descriptor)
        if found.st_size > room or bool(found.st_mode & stat.S_IXUSR) != (mode == PROGRAM):
            raise Unusual
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read()


def parsed(index: bytes) -> tuple[list[tuple[bytes, int, bytes]], bytes]:
    """Path, mode and object of each entry, and the TREE extension as it is. Raises Unusual or struct.error."""
    signature, version, count = HEADER.unpack_from(index)
    if (signature, version) != (b"DIRC", 2) or count > MOST_FILES:
        raise Unusual
    if hashlib.sha1(index[:-HASH_BYTES], usedforsecurity=False).digest() != index[-HASH_BYTES:]:
        raise Unusual  # of other hashes, or without one
    entries = []
    at = HEADER.size
    for _ in range(count):
        *_, mode, _, _, _, blob, flags = ENTRY.unpack_from(index, at)
        if mode not in (FILE, PROGRAM, LINK) or flags & ~NAME_LENGTH:
            raise Unusual
        end = index.index(b"\0", at + ENTRY.size)
        entries.append((index[at + ENTRY.size : end], mode, blob))
        at += padded(end - at)
    return entries, trees_of(index, at)


def trees_of(index: bytes, at: int) -> bytes:
    """The others only save time, or tell of something unusual: those have small letters."""
    trees = b""
    while at < len(index) - HASH_BYTES:
        signature, size = EXTENSION.unpack_from(index, at)
        end = at + EXTENSION.size + size
        if signature == b"TREE":
            trees = index[at:end]
        elif signature[:1].islower():
            raise Unusual
        at = end
    return trees


def padded(length: int) -> int:
    """With the one to eight zero bytes that end an entry."""
    return (length + 8) // 8 * 8


def write_checkout(checkout: Checkout, worktree: Path, git_directory: Path) -> None:
    """The same files in another worktree, which is empty. Raises OSError."""
    top = os.fsencode(worktree) + b"/"
    for directory in checkout.directories:
        os.mkdir(top + directory)  # noqa: PTH102 - bytes, thousands of times
    index = b"".join(index_of(checkout, [write_file(top + file.path, file) for file in checkout.files]))
    digest = hashlib.sha1(index, usedforsecurity=False).digest()
    write_new(os.fsencode(git_directory / "index"), index + digest, 0o666)


def write_file(path: bytes, file: File) -> os.stat_result:
    if file.mode == LINK:
        os.symlink(file.content, path)  # noqa: PTH211 - bytes
        return os.lstat(path)
    return write_new(path, file.content, 0o777 if file.mode == PROGRAM else 0o666)


def write_new(path: bytes, content: bytes, mode: int) -> os.stat_result:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(descriptor, left) :]
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)


def index_of(checkout: Checkout, found: list[os.stat_result]) -> Iterator[bytes]:
    yield HEADER.pack(b"DIRC", 2, len(checkout.files))
    for file, there in zip(checkout.files, found, strict=True):
        changed, modified = divmod(there.st_ctime_ns, 10**9), divmod(there.st_mtime_ns, 10**9)
        numbers = (*changed, *modified, there.st_dev, there.st_ino, file.mode)
        owner = (there.st_uid, there.st_gid, there.st_size)
        flags = min(len(file.path), NAME_LENGTH)
        yield ENTRY.pack(*(number & LOW for number in (*numbers, *owner)), file.blob, flags)
        length = ENTRY.size + len(file.path)
        yield file.path + bytes(padded(length) - length)
    yield checkout.trees
