"""How many events of each kind there ever were: numbers that only grow, at a cost that doesn't grow with them."""

import threading
from collections import Counter
from datetime import datetime, timedelta

from django.db.models import Count, Max, Q

from apps.events.models import Event, EventQuerySet, ForgottenEvents

SETTLED_AFTER = timedelta(minutes=2)  # no transaction that writes an event takes so long


class EventCounts:
    """Everything is counted once, at the first question; later ones count what was added since. What is so young that
    an older number may still be committed beside it is counted again each time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._through = 0
        self._settled: Counter[str] | None = None

    def read(self, now: datetime) -> Counter[str]:
        with self._lock:
            self._settle(now)
            young = counted(Event.objects.filter(pk__gt=self._through))
            return (self._settled or Counter()) + young

    def _settle(self, now: datetime) -> None:
        settled = Q(pk__gt=self._through, at__lt=now - SETTLED_AFTER)
        through = Event.objects.filter(settled).aggregate(last=Max("pk"))["last"] or self._through
        if self._settled is None:
            self._settled = counted_ever(through)
        elif through > self._through:
            self._settled.update(counted(Event.objects.filter(pk__gt=self._through, pk__lte=through)))
        self._through = through


def counted(events: EventQuerySet) -> Counter[str]:
    return Counter(dict(events.order_by().values_list("kind").annotate(Count("pk"))))


def counted_ever(through: int) -> Counter[str]:
    """Up to this event. One statement, so that what is being forgotten meanwhile counts once."""
    kept = Event.objects.filter(pk__lte=through).order_by().values_list("kind").annotate(count=Count("pk"))
    forgotten = ForgottenEvents.objects.values_list("kind", "count")
    counts: Counter[str] = Counter()
    for kind, count in kept.union(forgotten, all=True):
        counts[kind] += count
    return counts


event_counts = EventCounts()
