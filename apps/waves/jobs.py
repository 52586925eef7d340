"""Doors for the queues."""

from django.utils import timezone

from apps.waves.advance import advance_wave
from apps.waves.models import Member
from apps.waves.preparation import prepare_members


def advance_job(wave_pk: int) -> None:
    advance_wave(wave_pk, timezone.now())


def prepare_job(attempts: list[tuple[int, int]]) -> None:
    """`attempts`: (primary key of a member, number of its preparation)."""
    prepare_members(dict(attempts))
    pks = [pk for pk, _ in attempts]
    for wave_pk in set(Member.objects.filter(pk__in=pks).order_by().values_list("wave_id", flat=True)):
        advance_wave(wave_pk, timezone.now())
