"""Access to Redis: connections with timeouts, and one typed error that says what to do when it is away."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import redis
import redis.asyncio
from django.conf import settings
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

CONNECT_SECONDS = 2.0
READ_SECONDS = 5.0
HEALTH_CHECK_SECONDS = 30

AWAY_HINT = "`manage.py up` starts one of its own; with REDIS_URL set, check that address and that server."
REFUSES_HINT = "Check that server's log, memory, disk and user rights: it may refuse all writes."


class RedisUnavailable(Exception):
    """Redis doesn't answer, or refuses. `hint` says what an operator can do about it."""

    def __init__(self, cause: object) -> None:
        refuses = isinstance(cause, redis.ResponseError)
        what = f"refuses: {cause}. {REFUSES_HINT}" if refuses else f"doesn't answer. {AWAY_HINT}"
        self.hint = f"Redis at {_without_password(settings.REDIS_URL)} {what}"
        super().__init__(self.hint if refuses else f"{self.hint} ({cause})")


def connection(
    *, read_timeout: float = READ_SECONDS, connect_timeout: float = CONNECT_SECONDS
) -> redis.Redis:
    """A client on a pool shared by the whole process.

    `read_timeout`: seconds an answer may take. A blocking command (XREAD, BLPOP, pub/sub) needs more than
    the time it blocks.
    """
    return _connection(settings.REDIS_URL, read_timeout, connect_timeout)


def async_connection(*, read_timeout: float = READ_SECONDS) -> redis.asyncio.Redis:
    """A client with a pool of its own for the running event loop. The caller ends it with `aclose()`."""
    return redis.asyncio.Redis.from_url(
        settings.REDIS_URL,
        decode_responses=False,
        socket_timeout=read_timeout,
        socket_connect_timeout=CONNECT_SECONDS,
        health_check_interval=HEALTH_CHECK_SECONDS,
        retry=AsyncRetry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
    )


def ping() -> None:
    """Raises RedisUnavailable when Redis doesn't answer."""
    with typed_errors():
        connection(read_timeout=1.0, connect_timeout=1.0).ping()


@contextmanager
def typed_errors() -> Iterator[None]:
    """Turns every error of the client library into RedisUnavailable.

    A full disk, a full memory, a lost replica or a lack of rights all come as plain answers: nothing that a
    caller could do about one and not about the other.
    """
    try:
        yield
    except redis.RedisError as error:
        raise RedisUnavailable(error) from error


@functools.lru_cache(maxsize=32)
def _connection(url: str, read_timeout: float, connect_timeout: float) -> redis.Redis:
    return redis.Redis.from_url(
        url,
        decode_responses=False,
        socket_timeout=read_timeout,
        socket_connect_timeout=connect_timeout,
        health_check_interval=HEALTH_CHECK_SECONDS,
        # One fresh try, as a pooled connection may be from before a restart of Redis. Not after a timeout:
        # the command may be running still, and a caller counts on the time it gave.
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
    )


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return url if "@" not in parts.netloc else parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
