"""Reading settings from the environment, with errors that say what to do."""

import os
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from apps.lib.paths import read_or_make

TRUE_WORDS = {"1", "true", "yes", "on"}
CONNECT_SECONDS = 10.0  # that PostgreSQL is waited for
FALSE_WORDS = {"0", "false", "no", "off", ""}


def env_str(name: str, default: str) -> str:
    return os.environ.get(name, default).strip()


def env_bool(name: str, default: bool) -> bool:
    word = os.environ.get(name, "1" if default else "0").strip().lower()
    if word in TRUE_WORDS or word in FALSE_WORDS:
        return word in TRUE_WORDS
    raise ImproperlyConfigured(f"{name}={word!r} is not a yes or no: use 1 or 0.")


def env_int(name: str, default: int) -> int:
    text = env_str(name, str(default))
    try:
        return int(text)
    except ValueError:
        raise ImproperlyConfigured(f"{name}={text!r} is not a whole number.") from None


def env_float(name: str, default: float) -> float:
    text = env_str(name, str(default))
    try:
        return float(text)
    except ValueError:
        raise ImproperlyConfigured(f"{name}={text!r} is not a number.") from None


def env_list(name: str, default: list[str]) -> list[str]:
    words = [word.strip() for word in env_str(name, "").split(",")]
    return [word for word in words if word] or default


def local_secret_key(home: Path) -> str:
    """The key kept in the home: made once, readable by its owner alone."""
    return read_or_make(home / "secret_key", lambda: secrets.token_urlsafe(48))


def database_from_url(url: str, home: Path) -> dict[str, Any]:
    """Django's database settings for a DATABASE_URL: `postgresql://…`, `sqlite:///PATH`, or SQLite in the home."""
    if not url:
        return sqlite_database(home / "swarmyard.sqlite3")
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return sqlite_database(Path(unquote(parts.path)))
    if parts.scheme in {"postgres", "postgresql"}:
        query = dict(parse_qsl(parts.query))
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": unquote(parts.path.lstrip("/")),
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": unquote(parts.hostname or "") or query.pop("host", ""),
            "PORT": str(parts.port or ""),
            "OPTIONS": {"pool": {"min_size": 1, "max_size": 8, "timeout": CONNECT_SECONDS}, **query},
        }
    raise ImproperlyConfigured(
        f"DATABASE_URL has the scheme {parts.scheme!r}: use postgresql://USER:PASSWORD@HOST/NAME or sqlite:///PATH."
    )


def sqlite_database(path: Path) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        "OPTIONS": {
            # IMMEDIATE: a transaction that will write waits at its start instead of failing in its middle.
            "transaction_mode": "IMMEDIATE",
            "timeout": 30,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-8000;",
        },
        "TEST": {"NAME": str(path.with_name("test.sqlite3"))},
    }
