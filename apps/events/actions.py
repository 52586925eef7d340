"""Writing events. Call inside the transaction that makes the fact true; the hint goes out after its commit."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F

from apps.events.domain.actor import Actor
from apps.events.hints import publish_on_commit
from apps.events.models import Event, ForgottenEvents, clean_text

LONGEST_DAYS = 36_500  # a hundred years: dates don't go back for ever


@dataclass(frozen=True, slots=True)
class Fact:
    """What happened. `topic` and `subject_id` name the row it happened to, `subject` its name at that time."""

    kind: str
    actor: Actor
    text: str
    topic: str = ""
    subject_id: int | None = None
    subject: str = ""
    data: dict[str, Any] = field(default_factory=dict)


def record(fact: Fact) -> None:
    record_all([fact])


def record_all(facts: Iterable[Fact]) -> None:
    rows = [as_row(fact) for fact in facts]
    if not rows:
        return
    Event.objects.bulk_create(rows)
    for topic, pk in {(row.topic, row.subject_id) for row in rows}:
        if topic and pk is not None:
            publish_on_commit(topic, pk)


@transaction.atomic
def forget_old_events(*, now: datetime, limit: int) -> int:
    """Remove the oldest `limit` of those that are kept no longer, and note how many there were of each kind. Returns
    how many were removed."""
    kept = timedelta(days=min(max(1, settings.EVENTS_KEPT_DAYS), LONGEST_DAYS))
    old = Event.objects.filter(at__lt=now - kept).order_by("at")
    kinds = dict(old.select_for_update().values_list("pk", "kind")[:limit])
    if kinds:
        Event.objects.filter(pk__in=kinds).delete()
        note_forgotten(Counter(kinds.values()))
    return len(kinds)


def note_forgotten(counts: Mapping[str, int]) -> None:
    for kind, count in sorted(counts.items()):
        row, _ = ForgottenEvents.objects.get_or_create(kind=kind)
        ForgottenEvents.objects.filter(pk=row.pk).update(count=F("count") + count)


def as_row(fact: Fact) -> Event:
    return Event(
        kind=fact.kind,
        actor_kind=fact.actor.kind,
        actor=clean_text(fact.actor.name, 150),
        topic=fact.topic,
        subject_id=fact.subject_id,
        subject=clean_text(fact.subject, 200),
        text=clean_text(fact.text),
        data=fact.data,
    )
