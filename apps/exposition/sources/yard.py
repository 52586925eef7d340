"""Workspaces, repositories and events."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db.models import Count, QuerySet

from apps.events.counts import event_counts
from apps.exposition import metrics
from apps.exposition.metrics import Metric
from apps.exposition.page import Page
from apps.workspaces.models import Repository, RepositoryState, Workspace, WorkspaceState


def collect(page: Page, now: datetime) -> None:
    put_states(page, metrics.WORKSPACES, WorkspaceState.values, Workspace.objects.all())
    put_states(page, metrics.REPOSITORIES, RepositoryState.values, Repository.objects.all())
    for kind, count in sorted(event_counts.read(now).items()):
        page.put(metrics.EVENTS, count, kind)


def put_states(page: Page, metric: Metric, states: Iterable[str], rows: QuerySet[Any]) -> None:
    counts = dict(rows.order_by().values_list("state").annotate(Count("pk")))
    for state in states:
        page.put(metric, counts.get(state, 0), state)
