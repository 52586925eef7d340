"""Workspaces, repositories and events."""

from datetime import datetime

from django.db.models import Count

from apps.events.counts import event_counts
from apps.exposition import metrics
from apps.exposition.page import Page
from apps.workspaces.models import Repository, RepositoryState, Workspace, WorkspaceState


def collect(page: Page, now: datetime) -> None:
    workspaces = dict(Workspace.objects.order_by().values_list("state").annotate(Count("pk")))
    for state in WorkspaceState:
        page.put(metrics.WORKSPACES, workspaces.get(state, 0), state)
    repositories = dict(Repository.objects.order_by().values_list("state").annotate(Count("pk")))
    for state in RepositoryState:
        page.put(metrics.REPOSITORIES, repositories.get(state, 0), state)
    for kind, count in sorted(event_counts.read(now).items()):
        page.put(metrics.EVENTS, count, kind)
