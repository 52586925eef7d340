"""The only writes of telemetry: what was counted and its checkpoint in one transaction; the end of old rollups."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import models, transaction

from apps.telemetry import measure_rows
from apps.telemetry.domain.measures import Measures
from apps.telemetry.domain.packing import packed_with
from apps.telemetry.domain.pending import Slot, Work
from apps.telemetry.domain.rolling import (
    FIVE_MINUTES,
    HOUR,
    MINUTE,
    ROW_SECONDS,
    SECOND,
    TEN,
    Place,
    Stretches,
    rolled_up,
)
from apps.telemetry.domain.sketch import Sketch
from apps.telemetry.domain.tally import Tally
from apps.telemetry.exceptions import CheckpointMoved
from apps.telemetry.models import AgentTotal, Checkpoint, GroupTotal, Rollup

MONTH = 30 * 24 * 3600
KEPT_SECONDS = {SECOND: 3600, TEN: 24 * 3600, MINUTE: MONTH, HOUR: MONTH, FIVE_MINUTES: MONTH}
DELETED_AT_ONCE = 20_000
ROWS_AT_ONCE = 500
START_ID = "0-0"
Measured = tuple[int, int, Measures]  # the ten seconds, the agent, and what it measured

KEY = ["subject", "resolution", "start"]
LABELS = ["group", "role", "host", "repository"]
COUNTED = ["operations", "errors", "induced", "corrected", "duration_ms", "wait_ms"]


@dataclass(frozen=True, slots=True)
class Mark:
    """Where the checkpoint stands: the last stream entry that is counted, and until when all of them are."""

    last_id: str = START_ID
    until: float = 0.0


def current_mark(*, stream: str) -> Mark:
    """Of a stream that was never read: its start."""
    row, _ = Checkpoint.objects.get_or_create(stream=stream, defaults={"last_id": START_ID})
    return Mark(row.last_id, row.until)


def record(
    *, stream: str, slots: Sequence[Slot], before: Mark, after: Mark, measured: Sequence[Measured] = ()
) -> None:
    """Adds what is in these slots to rollups and totals, and moves the checkpoint from `before` to `after`: all of
    it or nothing. Raises CheckpointMoved when the checkpoint doesn't stand at `before`."""
    added = rolled_up(slots)  # before the transaction, which keeps others from writing
    with transaction.atomic():
        moved = Checkpoint.objects.filter(stream=stream, last_id=before.last_id, until=before.until)
        if not moved.update(last_id=after.last_id, until=after.until):
            raise CheckpointMoved(f"the checkpoint of {stream} isn't at {before.last_id}")
        _add_rollups(added)
        works = [work for slot in slots for work in slot.works.values()]
        _add_totals(works)
        _add_group_totals(works)
        measure_rows.write(measured)


def delete_old(*, now: float) -> int:
    """Deletes rollups past their time, a bounded number of each kind; says how many."""
    deleted = measure_rows.delete_old(now=now)
    for resolution, kept in KEPT_SECONDS.items():
        oldest = int(now) - kept - ROW_SECONDS.get(resolution, resolution)  # where all of a row is too old
        old = Rollup.objects.filter(resolution=resolution, start__lt=oldest).order_by("start")
        chosen = list(old.values_list("pk", flat=True)[:DELETED_AT_ONCE])
        for first in range(0, len(chosen), ROWS_AT_ONCE):
            deleted += Rollup.objects.filter(pk__in=chosen[first : first + ROWS_AT_ONCE]).delete()[0]
    return deleted


def _add_rollups(added: dict[Place, Stretches]) -> None:
    kept: dict[Place, Rollup] = {}
    for resolution in {place.resolution for place in added}:
        starts = {place.start for place in added if place.resolution == resolution}
        for row in Rollup.objects.filter(resolution=resolution, start__in=starts):
            kept[Place(resolution, row.start, row.subject)] = row
    rows = []
    for place, stretches in sorted(added.items()):
        row = kept.get(place) or Rollup(**place._asdict(), cells=b"")
        row.operations += sum(tally.operations for tally in stretches.values())
        row.cells = packed_with(bytes(row.cells), place.start, stretches)
        rows.append(row)
    _upsert(Rollup, rows, KEY, ["operations", "cells"])


def _add_totals(works: Sequence[Work]) -> None:
    agents = sorted({work.agent for work in works})
    rows: dict[int, AgentTotal] = {}
    for first in range(0, len(agents), ROWS_AT_ONCE):
        for row in AgentTotal.objects.filter(agent__in=agents[first : first + ROWS_AT_ONCE]):
            rows[row.agent] = row
    for work in works:
        _count(rows.setdefault(work.agent, AgentTotal(agent=work.agent)), work)
    _upsert(AgentTotal, [rows[agent] for agent in agents], ["agent"], [*LABELS, *COUNTED])


def _add_group_totals(works: Sequence[Work]) -> None:
    counted = [work for work in works if any(tally.operations for tally in work.seconds.values())]
    stored = GroupTotal.objects.filter(group__in={work.labels.wave for work in counted})
    rows = {(row.group, row.role): row for row in stored}
    sketches: dict[tuple[str, str], Sketch] = {}
    for work in counted:
        place = work.labels.wave, work.labels.role
        row = rows.setdefault(place, GroupTotal(group=place[0], role=place[1]))
        if place not in sketches:
            sketches[place] = Sketch.from_bytes(bytes(row.sketch)) if row.sketch else Sketch()
        for tally in work.seconds.values():
            _add(row, tally)
            sketches[place].merge(tally.sketch)
    for place, sketch in sketches.items():
        rows[place].sketch = sketch.to_bytes()
    changed = [rows[place] for place in sorted(sketches)]
    _upsert(GroupTotal, changed, ["group", "role"], [*COUNTED, "sketch"])


def _count(row: AgentTotal, work: Work) -> None:
    for name, new in zip(LABELS, work.labels, strict=True):
        setattr(row, name, new or getattr(row, name))
    for tally in work.seconds.values():
        _add(row, tally)


def _add(row: AgentTotal | GroupTotal, tally: Tally) -> None:
    for name in COUNTED:
        setattr(row, name, getattr(row, name) + getattr(tally, name))


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
