"""Leases on names: one holder at a time, by conditional update; each new holder gets a higher epoch."""

from datetime import datetime, timedelta

from django.db.models import F, Q

from apps.capacity.models import Lease


def acquire(*, name: str, holder: str, now: datetime, seconds: float) -> int | None:
    """The lease's epoch if `holder` has it for the next `seconds`, new or renewed; None if somebody else does."""
    Lease.objects.get_or_create(name=name)
    until = now + timedelta(seconds=seconds)
    rows = Lease.objects.filter(name=name)
    if rows.filter(holder=holder, expires_at__gt=now).update(expires_at=until) == 1:
        return rows.get().epoch
    free = Q(expires_at=None) | Q(expires_at__lte=now)
    if rows.filter(free).update(holder=holder, expires_at=until, epoch=F("epoch") + 1) == 1:
        return rows.get(holder=holder).epoch
    return None


def holds(*, name: str, holder: str, now: datetime, seconds: float) -> bool:
    """Whether `holder` has the lease for `seconds` to come, so that it needs no renewal, which is a write."""
    until = now + timedelta(seconds=seconds)
    return Lease.objects.filter(name=name, holder=holder, expires_at__gt=until).exists()


def release(*, name: str, holder: str) -> None:
    Lease.objects.filter(name=name, holder=holder).update(expires_at=None)


def is_held(*, name: str, now: datetime) -> bool:
    return Lease.objects.filter(name=name, expires_at__gt=now).exists()


def drop(*, name: str) -> None:
    """For what it was about is over: its epochs are counted from the start if it should come again."""
    Lease.objects.filter(name=name).delete()
