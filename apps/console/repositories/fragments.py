"""The live region of the repositories page: a clone under way becomes ready while one looks."""

from django.core.paginator import Paginator
from django.db.models import Count, Q
from django.template.loader import render_to_string

from apps.console.moment import Moment
from apps.console.regions import Fragment, Region, View
from apps.waves.models import OPEN
from apps.workspaces.models import Repository, RepositoryState

PAGE = 50
SIGNS = {
    RepositoryState.CLONING: ("◔", "warn"),
    RepositoryState.READY: ("●", "good"),
    RepositoryState.FAILED: ("✕", "bad"),
}


def repositories_list(view: View, moment: Moment) -> Fragment:
    rows = Repository.objects.order_by("name").annotate(
        wave_count=Count("waves"), open_count=Count("waves", filter=Q(waves__state__in=OPEN))
    )
    shown = Paginator(rows, PAGE).get_page(view.page)
    lines = [(row, *SIGNS[RepositoryState(row.state)]) for row in shown]
    context = {"view": view, "lines": lines, "page": shown, "query": view.keep()}
    return Fragment.simple(render_to_string("console/repositories/region.html", context))


REGIONS = (Region("repositories_list", repositories_list, ("page",), frozenset({"repository", "wave"})),)
