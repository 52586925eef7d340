from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from django.db.models import Count

from apps.fleet.domain.outcome import outcome_of
from apps.waves.domain.progress import Progress, progress_of
from apps.waves.models import Member, Wave


def progress(wave: Wave, now: datetime | None = None) -> Progress:
    return progress_of_all([wave], now)[wave.pk]


def progress_of_all(waves: Iterable[Wave], now: datetime | None = None) -> dict[int, Progress]:
    """Progress by the wave's primary key, for all of them in one query."""
    waves = list(waves)
    outcomes: dict[int, Counter[str]] = {wave.pk: Counter() for wave in waves}
    rows = Member.objects.filter(wave__in=waves).order_by()
    by_state = rows.values_list("wave_id", "agent__state", "agent__desired").annotate(count=Count("pk"))
    for wave_id, state, desired, count in by_state:
        outcomes[wave_id][outcome_of(state, desired)] += count
    elapsed = {wave.pk: (now - wave.created_at).total_seconds() if now else None for wave in waves}
    return {pk: progress_of(counts, elapsed=elapsed[pk]) for pk, counts in outcomes.items()}
