"""What the telemetry process publishes each tick, and how readers get it."""

from typing import cast

import msgspec

from apps.lib.redis import connection, typed_errors
from apps.telemetry.domain.figures import AgentFigures, Charts, Figures, Snapshot, Totals

__all__ = ["AgentFigures", "Charts", "Figures", "Snapshot", "Totals", "decode", "encode", "key", "read"]

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Snapshot).decode


def key(window: int) -> str:
    """Where Redis keeps the newest snapshot of this window."""
    return f"yard:snapshot:{window}"


def read(window: int) -> Snapshot | None:
    """The newest one of this window (a key of WINDOWS), None before the first. Its `at` tells how old it is.
    Raises RedisUnavailable."""
    with typed_errors():
        found = cast(bytes | None, connection().get(key(window)))
    return decode(found) if found else None
