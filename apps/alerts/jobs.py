"""Doors for the queues."""

from django.utils import timezone

from apps.alerts.delivering import deliver


def deliver_job(pk: int) -> None:
    deliver(pk, timezone.now)
