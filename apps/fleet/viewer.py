"""Executes a program that sees directories at other paths than their own, in a mount namespace of its own.

    python -IS viewer.py SOURCE PLACE [SOURCE PLACE ...] -- CWD PROGRAM [ARGUMENT ...]

Each SOURCE is mounted at PLACE, for the program and all that it starts; everything else, the sources' own paths too, is
as it was. Root needs no more than a mount namespace. Everybody else gets a user namespace with it, in which he is
himself, and has no more rights in the end than before. The program takes this process' place: same pid, environment,
descriptors, and the exit codes of a shell (126 and 127) where it can't be run.
"""

import ctypes
import os
import signal
import sys

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_BIND, MS_REC, MS_SLAVE = 4096, 16384, 1 << 19
NOT_STARTED, NOT_FOUND = 126, 127

_libc = ctypes.CDLL(None, use_errno=True)


def main(words: list[str]) -> int:
    divide = words.index("--")
    pairs, (cwd, *argv) = words[:divide], words[divide + 1 :]
    try:
        leave()
        for source, place in zip(pairs[::2], pairs[1::2], strict=True):
            mount(source, place, MS_BIND | MS_REC)
        os.chdir(cwd)
    except OSError as error:
        what = " ".join(filter(None, (error.strerror, error.filename and f"({error.filename})")))
        return complain(
            f"the agent could not be shown its workspace, so it was not started: {what}", NOT_STARTED
        )
    return execute(argv, environment(cwd))


def leave() -> None:
    """Into namespaces of our own. What the machine mounts later shows there too."""
    uid, gid = os.geteuid(), os.getegid()
    call("unshare", ctypes.c_int(CLONE_NEWNS if uid == 0 else CLONE_NEWNS | CLONE_NEWUSER))
    if uid != 0:
        write("/proc/self/setgroups", "deny")
        write("/proc/self/uid_map", f"{uid} {uid} 1")
        write("/proc/self/gid_map", f"{gid} {gid} 1")
    mount("none", "/", MS_REC | MS_SLAVE)


def mount(source: str, place: str, flags: int) -> None:
    call("mount", os.fsencode(source), os.fsencode(place), None, ctypes.c_ulong(flags), None, about=place)


def call(name: str, *arguments: object, about: str | None = None) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}", about)


def write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode("ascii"))
    finally:
        os.close(fd)


def execute(argv: list[str], environment: dict[bytes, bytes]) -> int:
    for name in ("SIGPIPE", "SIGXFSZ"):  # Python ignores them, and the program would inherit that
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    try:
        os.execvpe(argv[0], argv, environment)  # noqa: S606
    except OSError as error:
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        return complain(f"{argv[0]}: {error.strerror}", NOT_FOUND if missing else NOT_STARTED)


def environment(cwd: str) -> dict[bytes, bytes]:
    """As it was given to us: Python may have added a locale to its own. But a shell believes a PWD that leads to where
    it is, and would go on by the other path."""
    with open("/proc/self/environ", "rb") as file:  # noqa: PTH123
        entries = file.read().split(b"\0")
    given = dict(entry.split(b"=", 1) for entry in entries if b"=" in entry)
    return given | {b"PWD": os.fsencode(cwd)} if b"PWD" in given else given


def complain(text: str, code: int) -> int:
    print(f"swarmyard: {text}", file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
