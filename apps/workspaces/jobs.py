"""Doors for the queues."""

from django.utils import timezone

from apps.workspaces.cloning import clone_repository
from apps.workspaces.models import Repository


def clone_job(repository_pk: int) -> None:
    repository = Repository.objects.filter(pk=repository_pk).first()
    if repository:
        clone_repository(repository=repository, now=timezone.now())
