from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from apps.builds.models import Build
from apps.console.builds import waits as waiting
from apps.console.builds.selection import MODES
from apps.console.moment import Moment
from apps.console.pages import now, page, view_of
from apps.fleet.models import Agent
from apps.workspaces.models import Repository

MOST_CHOICES = 200


@require_safe
def builds(request: HttpRequest) -> HttpResponse:
    waves = Agent.objects.order_by().values_list("group", flat=True).distinct()[:MOST_CHOICES]
    repositories = Repository.objects.order_by("name").values_list("name", flat=True)[:MOST_CHOICES]
    labels = sorted(waves, key=lambda label: (len(label), label), reverse=True)
    return page(
        request,
        "console/builds/list.html",
        "builds",
        Moment(now()),
        {"builds_numbers": {}, "builds_table": {}},
        tab="builds",
        selects=[
            ("wave", "Wave", "All waves", labels, request.GET.get("wave", "")),
            ("mode", "Mode", "All modes", MODES, request.GET.get("mode", "")),
            (
                "repository",
                "Repository",
                "All repositories",
                list(repositories),
                request.GET.get("repository", ""),
            ),
        ],
        kept=[(name, request.GET.get(name, "")) for name in ("window", "state", "agent", "host")],
    )


@require_safe
def waits(request: HttpRequest) -> HttpResponse:
    waiting.seen[view_of("build_wait_pairs", request).window].fresh()
    return page(
        request,
        "console/builds/waits.html",
        "builds",
        Moment(now()),
        {"build_wait_chart": {}, "build_wait_pairs": {}},
        tab="waits",
        charts=(waiting.WAITS,),
    )


@require_safe
def directories(request: HttpRequest) -> HttpResponse:
    regions: dict[str, dict[str, str]] = {"build_directories": {}}
    return page(
        request, "console/builds/directories.html", "builds", Moment(now()), regions, tab="directories"
    )


@require_safe
def build(request: HttpRequest, pk: int) -> HttpResponse:
    shown = get_object_or_404(Build, pk=pk)
    return page(
        request,
        "console/builds/build.html",
        "builds",
        Moment(now()),
        {"build_shown": {"pk": str(pk)}},
        build=shown,
        what=f"{shown.tool} {shown.arguments}",
    )
