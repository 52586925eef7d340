"""Samples and stream entries for tests."""

import itertools

import redis

from apps.telemetry.domain.sample import Reading, Sample
from apps.telemetry.ingest import BYTES_IN, BYTES_OUT, STREAM, encode_body
from apps.telemetry.models import AgentMeasureTotal

NUMBERS = itertools.count(1)


def make_sample(ms: float = 10.0, **overrides) -> Sample:
    fields = {"kind": "build", "end": 1_800_000_000.0, "ms": ms, "wait_ms": 0.0, "outcome": "ok", **overrides}
    return Sample(**fields)


def make_body(*milliseconds: float, **overrides) -> bytes:
    return encode_body([make_sample(ms, **overrides) for ms in milliseconds])


def arrive(
    client: redis.Redis,
    at: float,
    *milliseconds: float,
    agent: int = 1,
    group: str = "w1",
    host: str = "here",
    repository: str = "core",
    **overrides,
) -> bytes:
    """Puts a frame into the stream as if it had arrived then, its operations just ended. Arrivals come in order."""
    body = make_body(*milliseconds, **{"end": at, **overrides})
    held = client.incrby(BYTES_IN, len(body))
    fields = {"a": agent, "g": group, "r": "builder", "h": host, "o": repository, "s": body, "n": held}
    return client.xadd(STREAM, fields, id=f"{int(at * 1000)}-{next(NUMBERS)}")


def read_off(client: redis.Redis, at: float, *readings: Reading) -> bytes:
    """Puts readings into the stream as if they had arrived then."""
    body = encode_body(list(readings))
    return client.xadd(
        STREAM, {"p": body, "n": client.incrby(BYTES_IN, len(body))}, id=f"{int(at * 1000)}-{next(NUMBERS)}"
    )


def held_bytes(client: redis.Redis) -> int:
    """What the stream holds, as those who fill it see it."""
    added, gone = client.mget(BYTES_IN, BYTES_OUT)
    return int(added or 0) - int(gone or 0)


def measured_totals(agent: int) -> dict[str, AgentMeasureTotal]:
    """By name."""
    return {row.name: row for row in AgentMeasureTotal.objects.filter(agent=agent)}
