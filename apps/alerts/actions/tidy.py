"""Removing what is over and would be kept for ever."""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import QuerySet

from apps.alerts.models import Alert, AlertState, Delivery, Silence
from apps.events.actions import LONGEST_DAYS

MOST_KEPT = 100_000  # of each that are over, however young: a rule that flaps for weeks fills no disk


def forget_old_alerts(*, now: datetime, limit: int) -> int:
    """Alerts, deliveries and silences that were over before the events that are kept, and those beyond MOST_KEPT.
    At most `limit` of each; returns the largest number removed."""
    before = now - timedelta(days=min(max(1, settings.EVENTS_KEPT_DAYS), LONGEST_DAYS))
    over: tuple[tuple[QuerySet[Any], str], ...] = (
        (Alert.objects.filter(state=AlertState.RESOLVED), "resolved_at"),
        (Delivery.objects.filter(done_at__isnull=False), "done_at"),
        (Silence.objects.filter(until__lt=now), "until"),
    )
    return max(remove(rows, ended, before, limit) for rows, ended in over)


def remove(rows: QuerySet[Any], ended: str, before: datetime, limit: int) -> int:
    """`ended`: the field that says when it was over."""
    pks = list(rows.filter(**{f"{ended}__lt": before}).order_by(ended).values_list("pk", flat=True)[:limit])
    pks = pks or list(rows.order_by(f"-{ended}").values_list("pk", flat=True)[MOST_KEPT : MOST_KEPT + limit])
    if pks:
        rows.model.objects.filter(pk__in=pks).delete()
    return len(pks)
