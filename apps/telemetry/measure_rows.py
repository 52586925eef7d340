"""The rows of measures: written in the transaction that moves the checkpoint, read back after a restart."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import cast

from apps.telemetry.domain.measured import KEPT, LiveMeasures
from apps.telemetry.domain.measures import (
    MAX_MODELS,
    Measured,
    Measures,
    Shape,
    add,
    has_room,
    is_spent,
    merge,
)
from apps.telemetry.domain.series import SPAN, TEN, floor_to
from apps.telemetry.domain.sketch import Sketch
from apps.telemetry.domain.tally import OTHER
from apps.telemetry.measure_models import Measurement
from apps.telemetry.models import AgentMeasureTotal, AgentModelTotal, RollupMeasure

# A busy agent of Codex has 20 names or more in each ten seconds: a day of them from a hundred would be gigabytes.
KEPT_SECONDS = {TEN: 2 * 3600, SPAN: 30 * 24 * 3600}
DELETED_AT_ONCE = 20_000
ROWS_AT_ONCE = 500
VALUES = ["unit", "shape", "amount", "count"]


def write(measured: Sequence[tuple[int, int, Measures]]) -> None:
    """Adds measures (their ten seconds, their agent) to rollups and totals. For `actions.record`, within its
    transaction."""
    if not measured:
        return
    totals = _totals(sorted({agent for _, agent, _ in measured}))
    named = [(start, agent, _count(found, totals.setdefault(agent, {}))) for start, agent, found in measured]
    for resolution in KEPT_SECONDS:
        _add_rollups(resolution, named)
    rows = [
        AgentMeasureTotal(
            agent=agent, name=name, unit=each.unit, shape=each.shape, amount=each.amount, count=each.count
        )
        for agent, measures in totals.items()
        for name, each in measures.items()
    ]
    AgentMeasureTotal.objects.bulk_create(
        rows,
        batch_size=ROWS_AT_ONCE,
        update_conflicts=True,
        unique_fields=["agent", "name"],
        update_fields=VALUES,
    )
    _add_models(measured)


def delete_old(*, now: float) -> int:
    """Deletes rollups of measures past their time, a bounded number; says how many."""
    deleted = 0
    for resolution, kept in KEPT_SECONDS.items():
        old = RollupMeasure.objects.filter(resolution=resolution, start__lt=int(now) - kept).order_by("start")
        chosen = list(old.values_list("pk", flat=True)[:DELETED_AT_ONCE])
        for first in range(0, len(chosen), ROWS_AT_ONCE):
            batch = chosen[first : first + ROWS_AT_ONCE]
            deleted += RollupMeasure.objects.filter(pk__in=batch).delete()[0]
    return deleted


def restored(*, now: float) -> LiveMeasures:
    """With all of the last day that is written; what isn't, the stream has."""
    live = LiveMeasures()
    for step, seconds in KEPT.items():
        for start, agent, measures in _kept(step, int(now) - seconds, int(now)):
            live.restore(agent, step, start, measures)
    return live


def _totals(agents: list[int]) -> dict[int, Measures]:
    found: dict[int, Measures] = {}
    for first in range(0, len(agents), ROWS_AT_ONCE):
        for row in AgentMeasureTotal.objects.filter(agent__in=agents[first : first + ROWS_AT_ONCE]):
            found.setdefault(row.agent, {})[row.name] = _measured(row, None)
    return found


def _count(measures: Measures, known: Measures) -> Measures:
    """Adds them to what is `known` of the agent for good. Gives them back under the names that it may have: those that
    it has, and new ones while there is room."""
    found: Measures = {}
    for name, measured in measures.items():
        if has_room(known, name):
            add(found, name, measured)
        else:
            add(found, OTHER, Measured("", "sum", 1.0))
        add(known, name, measured)
    return found


def _add_rollups(resolution: int, named: list[tuple[int, int, Measures]]) -> None:
    added: dict[tuple[int, int], Measures] = {}
    for start, agent, measures in named:
        merge(added.setdefault((floor_to(start, resolution), agent), {}), measures)
    stored = RollupMeasure.objects.filter(resolution=resolution, start__in={start for start, _ in added})
    found: dict[tuple[int, int], Measures] = {}
    for row in stored:
        if (row.start, row.agent) in added:
            found.setdefault((row.start, row.agent), {})[row.name] = _rolled_up(row)
    for place, measures in added.items():
        merge(found.setdefault(place, {}), measures)
    rows = [
        _row(resolution, start, agent, name, each)
        for (start, agent), measures in sorted(found.items())
        for name, each in measures.items()
    ]
    RollupMeasure.objects.bulk_create(
        rows,
        batch_size=ROWS_AT_ONCE,
        update_conflicts=True,
        unique_fields=["resolution", "start", "agent", "name"],
        update_fields=[*VALUES, "sketch"],
    )


def _add_models(measured: Sequence[tuple[int, int, Measures]]) -> None:
    """What each model used, where an agent names its models."""
    named = [
        (agent, name, each.models)
        for _, agent, measures in measured
        for name, each in measures.items()
        if each.models and is_spent(name)
    ]
    if not named:
        return
    kept: dict[int, dict[tuple[str, str], AgentModelTotal]] = {}
    for row in AgentModelTotal.objects.filter(agent__in={agent for agent, _, _ in named}):
        kept.setdefault(row.agent, {})[row.model, row.name] = row
    for agent, name, models in named:
        rows = kept.setdefault(agent, {})
        for model, amount in models.items():
            _add_model(rows, agent, model, name, amount)
    AgentModelTotal.objects.bulk_create(
        [_without_key(row) for rows in kept.values() for row in rows.values()],
        batch_size=ROWS_AT_ONCE,
        update_conflicts=True,
        unique_fields=["agent", "model", "name"],
        update_fields=["amount"],
    )


def _add_model(
    rows: dict[tuple[str, str], AgentModelTotal], agent: int, model: str, name: str, amount: float
) -> None:
    known = {one for one, _ in rows} - {OTHER}
    if model not in known and len(known) >= MAX_MODELS:
        model = OTHER
    row = rows.setdefault((model, name), AgentModelTotal(agent=agent, model=model, name=name))
    row.amount += amount


def _without_key(row: AgentModelTotal) -> AgentModelTotal:
    # With a primary key it would be inserted under that key, and so collide on it and not on the unique fields.
    row.pk = None
    return row


def _row(resolution: int, start: int, agent: int, name: str, measured: Measured) -> RollupMeasure:
    return RollupMeasure(
        resolution=resolution,
        start=start,
        agent=agent,
        name=name,
        unit=measured.unit,
        shape=measured.shape,
        amount=measured.amount,
        count=measured.count,
        sketch=measured.sketch.to_bytes() if measured.sketch else b"",
    )


def _kept(resolution: int, first: int, last: int) -> Iterator[tuple[int, int, Measures]]:
    rows = RollupMeasure.objects.filter(resolution=resolution, start__gte=first, start__lte=last)
    ordered = rows.order_by("start", "agent").iterator(chunk_size=2_000)
    for (at, agent), together in groupby(ordered, key=lambda row: (row.start, row.agent)):
        yield at, agent, {row.name: _rolled_up(row) for row in together}


def _measured(row: Measurement, sketch: Sketch | None) -> Measured:
    return Measured(row.unit, cast(Shape, row.shape), row.amount, row.count, sketch)


def _rolled_up(row: RollupMeasure) -> Measured:
    return _measured(row, Sketch.from_bytes(bytes(row.sketch)) if row.sketch else None)
