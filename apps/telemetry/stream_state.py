"""What Redis says of telemetry, in one round trip: the newest figures, and what the sample stream holds."""

from dataclasses import dataclass
from typing import Any

import msgspec

from apps.lib.redis import connection, typed_errors
from apps.telemetry import snapshot as snapshots
from apps.telemetry.ingest import BYTES_IN, BYTES_OUT, STREAM
from apps.telemetry.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class StreamState:
    """`now`: by Redis' clock, in unix seconds. `snapshot`: None before the first, or when another version wrote it."""

    now: float
    snapshot: Snapshot | None
    entries: int
    bytes: int

    @property
    def age(self) -> float | None:
        """Seconds since the figures were taken; as many where they are of a moment to come, from before Redis' clock
        was put back: they aren't renewed either."""
        return None if self.snapshot is None else abs(self.now - self.snapshot.at)


def read(window: int, *, timeout: float) -> StreamState:
    """`timeout`: seconds that each step to Redis may take. Raises RedisUnavailable."""
    with typed_errors():
        client = connection(read_timeout=timeout, connect_timeout=timeout)
        with client.pipeline(transaction=False) as pipeline:
            pipeline.time()
            pipeline.mget(snapshots.keys(window))
            pipeline.xlen(STREAM)
            pipeline.mget(BYTES_IN, BYTES_OUT)
            (seconds, microseconds), figures, entries, (added, gone) = pipeline.execute()
    held = int(added or 0) - int(gone or 0)
    return StreamState(seconds + microseconds / 1_000_000, decoded(figures), entries, held)


def decoded(figures: Any) -> Snapshot | None:
    try:
        return snapshots.joined(figures)
    except msgspec.MsgspecError:
        return None
