"""Operations: exact totals from the database, and the last minute from the telemetry process."""

from collections.abc import Callable, Collection
from datetime import datetime

from django.conf import settings

from apps.exposition import metrics
from apps.exposition.metrics import Metric
from apps.exposition.page import Page
from apps.lib.redis import RedisUnavailable
from apps.telemetry import stream_state
from apps.telemetry.domain.service_levels import Verdict, levels
from apps.telemetry.domain.sketch import Sketch
from apps.telemetry.models import GroupTotal
from apps.telemetry.queries import counted_until, totals_of_groups
from apps.telemetry.service_levels import configured_targets
from apps.telemetry.snapshot import Snapshot, Totals
from apps.telemetry.stream_state import StreamState

WINDOW = 60
REDIS_SECONDS = 1.0
FRESH_SECONDS = 15.0
FRESH_TICKS = 3  # for those who let the telemetry process tick slowly

# Figures of the last minute, each where there is one.
FIGURES: tuple[tuple[Metric, Callable[[Totals], float | None]], ...] = (
    (metrics.RECENT_THROUGHPUT, lambda totals: totals.throughput),
    (metrics.LOAD_BALANCE, lambda totals: totals.load_balance),
    (metrics.DISTRIBUTION_VARIANCE, lambda totals: totals.distribution_variance),
    (metrics.EFFICIENCY, lambda totals: totals.efficiency),
    (metrics.CONCURRENCY, lambda totals: totals.concurrency),
    (metrics.COORDINATION_EFFICIENCY, lambda totals: totals.coordination_efficiency),
)
RANKS = ("p50", "p95", "p99", "max")


def collect(page: Page, now: datetime) -> StreamState | None:
    """Returns what Redis says; None when it is away."""
    until = counted_until()
    state = read_state()
    page.put(metrics.REDIS_UP, float(state is not None))
    at = now.timestamp() if state is None else state.now
    page.put(metrics.LAG, None if until is None else max(0.0, at - until))
    fresh = fresh_figures(state)
    page.put(metrics.TELEMETRY_FRESH, float(fresh is not None))
    if state is not None:
        page.put(metrics.SNAPSHOT_AGE, state.age)
        page.put(metrics.STREAM_ENTRIES, state.entries)
        page.put(metrics.STREAM_BYTES, state.bytes)
    if fresh is not None:
        collect_figures(page, fresh.totals)
    return state


def read_state() -> StreamState | None:
    try:
        return stream_state.read(WINDOW, timeout=REDIS_SECONDS)
    except RedisUnavailable:
        return None


def fresh_figures(state: StreamState | None) -> Snapshot | None:
    """Of the last minute; None when they are too old to be told as such."""
    if state is None or state.age is None:
        return None
    limit = max(FRESH_SECONDS, FRESH_TICKS * settings.TELEMETRY_TICK_SECONDS)
    return state.snapshot if state.age <= limit else None


def collect_figures(page: Page, totals: Totals) -> None:
    for metric, value in FIGURES:
        page.put(metric, value(totals))
    for level in levels(totals, configured_targets()[0]):
        page.put(metrics.LEVEL_TARGET, level.target, level.objective.key)
        if level.verdict in (Verdict.MET, Verdict.MISSED):
            page.put(metrics.LEVEL_MET, float(level.verdict == Verdict.MET), level.objective.key)
    for rank in RANKS:
        milliseconds = getattr(totals, rank)
        page.put(metrics.PERCENTILE, None if milliseconds is None else milliseconds / 1000, rank)


def collect_operations(page: Page, waves: Collection[str]) -> None:
    for row in totals_of_groups(waves):
        collect_group(page, row)


def collect_group(page: Page, row: GroupTotal) -> None:
    of_wave = row.group, row.role
    ok = row.operations - row.errors - row.induced
    for outcome, count in (("ok", ok), ("error", row.errors), ("induced", row.induced)):
        page.put(metrics.OPERATIONS, count, *of_wave, outcome)
    page.put(metrics.CORRECTED, row.corrected, *of_wave)
    page.put(metrics.LOCK_WAIT, row.wait_ms / 1000, *of_wave)
    sketch = Sketch.from_bytes(bytes(row.sketch))
    counts = [*sketch.counts_up_to([bound * 1000 for bound in metrics.DURATIONS]), sketch.count]
    page.put_histogram(metrics.DURATION, metrics.DURATIONS, counts, row.duration_ms / 1000, *of_wave)
