"""The live regions of the repositories' pages: a clone under way becomes ready while one looks."""

from django.core.paginator import Paginator
from django.db.models import Count, Q
from django.template.loader import render_to_string

from apps.console import groups
from apps.console.moment import Moment
from apps.console.regions import Fragment, Region, View
from apps.console.repositories.one import repository_builds, repository_head
from apps.console.repositories.rows import SIGNS, figures_of
from apps.waves.models import OPEN
from apps.workspaces.models import Repository, RepositoryState

PAGE = 50
CHANGES = frozenset({"repository", "wave", "telemetry"})


def repositories_list(view: View, moment: Moment) -> Fragment:
    rows = Repository.objects.order_by("name").annotate(
        wave_count=Count("waves"), open_count=Count("waves", filter=Q(waves__state__in=OPEN))
    )
    shown = Paginator(rows, PAGE).get_page(view.page)
    snapshot = moment.snapshot(view.window)
    lines = [
        (
            row,
            *SIGNS[RepositoryState(row.state)],
            figures_of(groups.group_of(snapshot, "repository", row.name)),
        )
        for row in shown
    ]
    context = {"view": view, "lines": lines, "page": shown, "query": view.keep("window")}
    context["heads"] = figures_of(None)
    return Fragment.simple(render_to_string("console/repositories/region.html", context))


REGIONS = (
    Region("repositories_list", repositories_list, ("window", "page"), CHANGES),
    Region("repository_head", repository_head, ("window", "pk"), CHANGES),
    Region("repository_builds", repository_builds, ("pk",), frozenset({"repository", "host", "build"})),
)
