"""Waves, and the starts of their agents."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Aggregate, BooleanField, Count, ExpressionWrapper, Q, Sum

from apps.exposition import metrics
from apps.exposition.metrics import Metric
from apps.exposition.page import Page
from apps.fleet.models import Agent
from apps.waves.domain.progress import Progress
from apps.waves.models import OPEN, Wave, WaveState
from apps.waves.queries import progress_of_all

SHOWN = 50  # waves that have readings of their own: open ones first, then the newest
OUTCOMES = [field.name for field in fields(Progress) if field.name != "eta_seconds"]


def collect(page: Page, now: datetime) -> list[str]:
    """Returns the labels of the waves that are shown."""
    is_open = ExpressionWrapper(Q(state__in=OPEN), output_field=BooleanField())
    waves = list(
        Wave.objects.defer("prompt", "command").annotate(first=is_open).order_by("-first", "-pk")[:SHOWN]
    )
    labels = [wave.label for wave in waves]
    collect_states(page, shown_open=sum(wave.is_open for wave in waves))
    collect_open(page, [wave for wave in waves if wave.is_open], now)
    collect_starts(page, labels)
    return labels


def collect_states(page: Page, *, shown_open: int) -> None:
    counts = dict(Wave.objects.order_by().values_list("state").annotate(Count("pk")))
    for state in WaveState:
        page.put(metrics.WAVES, counts.get(state, 0), state)
    page.put(metrics.OMITTED, sum(counts.get(state, 0) for state in OPEN) - shown_open, "open waves")


def collect_open(page: Page, waves: list[Wave], now: datetime) -> None:
    progress = progress_of_all(waves, now)
    for wave in waves:
        counts = progress[wave.pk]
        for outcome in OUTCOMES:
            page.put(metrics.WAVE_AGENTS, getattr(counts, outcome), wave.label, outcome)
        held_back = counts.planned + counts.ready if wave.is_short_of_room else 0
        page.put(metrics.HELD_BACK, held_back, wave.label)


def collect_starts(page: Page, labels: list[str]) -> None:
    """All in one question: a histogram's counts are sums over the agents' own rows, so they only grow."""
    rows = Agent.objects.filter(group__in=labels).order_by().values("group", "role")
    counted: dict[str, Aggregate] = {"starts": Sum("epoch"), "started": Count("pk", filter=Q(epoch__gt=0))}
    counted |= waits("queue_time") | waits("spawn_time")
    found: Iterable[Mapping[str, Any]] = rows.annotate(**counted).order_by("group", "role")
    for row in found:
        of_wave = row["group"], row["role"]
        page.put(metrics.STARTS, row["starts"], *of_wave)
        page.put(metrics.RESTARTS, row["starts"] - row["started"], *of_wave)
        put_waits(page, metrics.QUEUE_TIME, row, "queue_time", of_wave)
        put_waits(page, metrics.SPAWN_TIME, row, "spawn_time", of_wave)


def waits(field: str) -> dict[str, Aggregate]:
    """What a histogram of this time is made of: how many within each bound, how many in all, and their sum."""
    within = {
        f"{field}_{place}": Count("pk", filter=Q((f"{field}__lte", timedelta(seconds=bound))))
        for place, bound in enumerate(metrics.WAITS)
    }
    return within | {f"{field}_count": Count(field), f"{field}_sum": Sum(field)}


def put_waits(
    page: Page, metric: Metric, row: Mapping[str, Any], field: str, of_wave: tuple[str, str]
) -> None:
    counts = [*(row[f"{field}_{place}"] for place in range(len(metrics.WAITS))), row[f"{field}_count"]]
    total: timedelta = row[f"{field}_sum"] or timedelta(0)
    page.put_histogram(metric, metrics.WAITS, counts, total.total_seconds(), *of_wave)
