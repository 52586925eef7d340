"""The only writes of telemetry: buckets and their checkpoint in one transaction; the end of old rollups."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import models, transaction

from apps.telemetry.domain.pending import Bucket
from apps.telemetry.domain.series import floor_to
from apps.telemetry.domain.sketch import Sketch
from apps.telemetry.exceptions import CheckpointMoved
from apps.telemetry.models import (
    FIVE_MINUTES,
    TEN_SECONDS,
    AgentTotal,
    Checkpoint,
    Counted,
    Rollup,
    RollupWait,
)

KEPT_SECONDS = {TEN_SECONDS: 2 * 3600, FIVE_MINUTES: 30 * 24 * 3600}
DELETED_AT_ONCE = 20_000
ROWS_AT_ONCE = 500
START_ID = "0-0"

SUMS = ["group", "role", "operations", "errors", "induced", "duration_ms", "wait_ms"]
ROLLED_UP = [*SUMS, "max_ms", "memory", "cpu", "readings", "sketch"]


@dataclass(frozen=True, slots=True)
class Mark:
    """Where the checkpoint stands: the last stream entry that is counted, and until when all of them are."""

    last_id: str = START_ID
    until: float = 0.0


def current_mark(*, stream: str) -> Mark:
    row, _ = Checkpoint.objects.get_or_create(stream=stream, defaults={"last_id": START_ID})
    return Mark(row.last_id, row.until)


def record(*, stream: str, buckets: Sequence[Bucket], before: Mark, after: Mark) -> None:
    """Adds these buckets to rollups and totals, and moves the checkpoint from `before` to `after`: all of
    it or nothing. Raises CheckpointMoved when the checkpoint doesn't stand at `before`."""
    with transaction.atomic():
        moved = Checkpoint.objects.filter(stream=stream, last_id=before.last_id, until=before.until)
        if not moved.update(last_id=after.last_id, until=after.until):
            raise CheckpointMoved(f"the checkpoint of {stream} isn't at {before.last_id}")
        for resolution in (TEN_SECONDS, FIVE_MINUTES):
            _add_rollups(resolution, buckets)
            _add_waits(resolution, buckets)
        _add_totals(buckets)


def delete_old(*, now: float) -> int:
    """Deletes rollups past their time, a bounded number of each kind; says how many."""
    deleted = 0
    for resolution, kept in KEPT_SECONDS.items():
        for rows in (Rollup.objects.all(), RollupWait.objects.all()):
            old = rows.filter(resolution=resolution, start__lt=int(now) - kept).order_by("start")
            chosen = list(old.values_list("pk", flat=True)[:DELETED_AT_ONCE])
            for first in range(0, len(chosen), ROWS_AT_ONCE):
                deleted += rows.filter(pk__in=chosen[first : first + ROWS_AT_ONCE]).delete()[0]
    return deleted


def _add_rollups(resolution: int, buckets: Sequence[Bucket]) -> None:
    starts = {floor_to(bucket.start, resolution) for bucket in buckets}
    stored = Rollup.objects.filter(resolution=resolution, start__in=starts)
    rows = {(row.start, row.agent): row for row in stored}
    sketches = {place: Sketch.from_bytes(bytes(row.sketch)) for place, row in rows.items()}
    changed = set()
    for bucket in buckets:
        place = floor_to(bucket.start, resolution), bucket.agent
        if place not in rows:
            rows[place] = Rollup(resolution=resolution, start=place[0], agent=bucket.agent)
            sketches[place] = Sketch()
        row = rows[place]
        _count(row, bucket)
        row.max_ms = max(row.max_ms, bucket.tally.max_ms)
        row.memory = max(row.memory, bucket.tally.memory)
        row.cpu += bucket.cpu
        row.readings += bucket.readings
        sketches[place].merge(bucket.tally.sketch)
        changed.add(place)
    for place in changed:
        rows[place].sketch = sketches[place].to_bytes()
    _upsert(Rollup, [rows[place] for place in sorted(changed)], ["resolution", "start", "agent"], ROLLED_UP)


def _add_waits(resolution: int, buckets: Sequence[Bucket]) -> None:
    added: dict[tuple[int, int, str], float] = {}
    for bucket in buckets:
        for kind, wait_ms in (bucket.tally.waits or {}).items():
            place = floor_to(bucket.start, resolution), bucket.agent, kind
            added[place] = added.get(place, 0.0) + wait_ms
    stored = RollupWait.objects.filter(resolution=resolution, start__in={start for start, _, _ in added})
    known = {(row.start, row.agent, row.kind): row.wait_ms for row in stored}
    rows = [
        RollupWait(
            resolution=resolution,
            start=place[0],
            agent=place[1],
            kind=place[2],
            wait_ms=known.get(place, 0.0) + ms,
        )
        for place, ms in sorted(added.items())
    ]
    _upsert(RollupWait, rows, ["resolution", "start", "agent", "kind"], ["wait_ms"])


def _add_totals(buckets: Sequence[Bucket]) -> None:
    agents = sorted({bucket.agent for bucket in buckets})
    rows: dict[int, AgentTotal] = {}
    for first in range(0, len(agents), ROWS_AT_ONCE):
        for row in AgentTotal.objects.filter(agent__in=agents[first : first + ROWS_AT_ONCE]):
            rows[row.agent] = row
    for bucket in buckets:
        _count(rows.setdefault(bucket.agent, AgentTotal(agent=bucket.agent)), bucket)
    _upsert(AgentTotal, [rows[agent] for agent in agents], ["agent"], SUMS)


def _count(row: Counted, bucket: Bucket) -> None:
    tally = bucket.tally
    row.group, row.role = bucket.group, bucket.role
    row.operations += tally.operations
    row.errors += tally.errors
    row.induced += tally.induced
    row.duration_ms += tally.duration_ms
    row.wait_ms += tally.wait_ms


def _upsert(
    model: type[models.Model], rows: Iterable[models.Model], unique: list[str], fields: list[str]
) -> None:
    # With a primary key set a row would be inserted under that key, and so collide on it and not on `unique`.
    fresh = list(rows)
    for row in fresh:
        row.pk = None
    model._default_manager.bulk_create(
        fresh, batch_size=ROWS_AT_ONCE, update_conflicts=True, unique_fields=unique, update_fields=fields
    )
