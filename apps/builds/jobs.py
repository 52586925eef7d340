"""Doors for the queues."""

from django.utils import timezone

from apps.builds.base_builder import build_base
from apps.builds.base_looks import look_at_targets
from apps.builds.models import Base


def base_job(base_pk: int) -> None:
    base = Base.objects.filter(pk=base_pk).select_related("repository", "host").first()
    if base:
        build_base(base)


def look_job(host_name: str) -> None:
    look_at_targets(host_name, timezone.now())
