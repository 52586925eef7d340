"""Removing what is over and would be kept for ever."""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import QuerySet

from apps.alerts.models import Alert, AlertState, Delivery, Silence
from apps.events.actions import LONGEST_DAYS


def forget_old_alerts(*, now: datetime, limit: int) -> int:
    """Alerts, deliveries and silences that were over before the events that are kept. At most `limit` of each; returns
    the largest number removed."""
    before = now - timedelta(days=min(max(1, settings.EVENTS_KEPT_DAYS), LONGEST_DAYS))
    old = (
        Alert.objects.filter(state=AlertState.RESOLVED, resolved_at__lt=before).order_by("resolved_at"),
        Delivery.objects.filter(done_at__lt=before).order_by("done_at"),
        Silence.objects.filter(until__lt=before).order_by("until"),
    )
    return max(remove(rows, limit) for rows in old)


def remove(rows: QuerySet[Any], limit: int) -> int:
    pks = list(rows.values_list("pk", flat=True)[:limit])
    if pks:
        rows.model.objects.filter(pk__in=pks).delete()
    return len(pks)
