"""What the telemetry process publishes, and how readers get it: snapshots of whole seconds, and with each tick the
counts up to that moment, which take the place of the snapshot's."""

from collections.abc import Sequence
from typing import Any, cast

import msgspec

from apps.lib.redis import CONNECT_SECONDS, READ_SECONDS, connection, typed_errors
from apps.telemetry.domain.figures import AgentFigures, Charts, Count, Counts, Figures, Snapshot, Totals

__all__ = [
    "AgentFigures",
    "Charts",
    "Figures",
    "Snapshot",
    "Totals",
    "decode",
    "encode",
    "joined",
    "key",
    "keys",
    "read",
]

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Snapshot).decode
decode_counts = msgspec.msgpack.Decoder(Counts).decode


def key(window: int) -> str:
    """Where Redis keeps the newest snapshot of this window."""
    return f"yard:snapshot:{window}"


def counts_key(window: int) -> str:
    return f"yard:counts:{window}"


def keys(window: int) -> tuple[str, str]:
    """What to ask Redis for at once; `joined` takes the answer."""
    return key(window), counts_key(window)


def joined(found: Sequence[Any]) -> Snapshot | None:
    """The snapshot with its counts up to date; None where there is none. Raises msgspec.MsgspecError for what another
    version wrote."""
    figures, counts = found
    snapshot = decode(figures) if figures else None
    if snapshot is not None and counts:
        put_in(snapshot, decode_counts(counts))
    return snapshot


def put_in(snapshot: Snapshot, counts: Counts) -> None:
    """Counts from before the snapshot are of one that went before."""
    if counts.at < snapshot.at:
        return
    _set(snapshot.totals, counts.totals)
    for pk, count in counts.agents.items():
        if pk in snapshot.agents:
            _set(snapshot.agents[pk], count)


def _set(figures: Figures, count: Count) -> None:
    figures.operations, figures.errors, figures.induced = count.operations, count.errors, count.induced


def read(window: int, seconds: float = READ_SECONDS) -> Snapshot | None:
    """The newest one of this window (a key of WINDOWS), None before the first. Its `at` tells how old it is. Raises
    RedisUnavailable, after so many `seconds` where Redis hangs, and msgspec.MsgspecError."""
    with typed_errors():
        client = connection(read_timeout=seconds, connect_timeout=min(seconds, CONNECT_SECONDS))
        found = client.mget(keys(window))
    return joined(cast(list[bytes | None], found))
