"""Pages of what makes builds fast: bases and compiler caches."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_POST, require_safe

from apps.builds.base_actions import ask_for_build
from apps.builds.base_log import tail_on
from apps.builds.cache_actions import clear_cache
from apps.builds.models import Base
from apps.console import links
from apps.console.moment import Moment
from apps.console.pages import act, now, page
from apps.events.domain.actor import Actor
from apps.fleet.models import Host
from apps.fleet.readings import answers
from apps.lib.questions import NoAnswer


@require_safe
def bases(request: HttpRequest) -> HttpResponse:
    regions: dict[str, dict[str, str]] = {"build_bases": {}}
    return page(request, "console/builds/bases.html", "builds", Moment(now()), regions, tab="bases")


@require_safe
def base_log(request: HttpRequest, pk: int) -> HttpResponse:
    """The end of what its last build printed, asked of its host: a part of the page."""
    base = get_object_or_404(Base.objects.select_related("host", "repository"), pk=pk)
    try:
        text, problem = tail_on(base.host.name, base.repository_id), ""
    except NoAnswer as error:
        text, problem = "", str(error)
    return render(request, "console/builds/base_log.html", {"base": base, "text": text, "problem": problem})


@require_POST
def build_base(request: HttpRequest, pk: int) -> HttpResponse:
    base = get_object_or_404(Base.objects.select_related("host", "repository"), pk=pk)

    def deed(actor: Actor) -> str:
        ask_for_build(base=base, actor=actor, now=now())
        when = "" if answers(base.host, now()) else f" once {base.host.name} answers again"
        return f"The {base} is built{when}."

    return act(request, deed, links.BASES)


@require_safe
def caches(request: HttpRequest) -> HttpResponse:
    regions: dict[str, dict[str, str]] = {"build_caches": {}}
    return page(request, "console/builds/caches.html", "builds", Moment(now()), regions, tab="caches")


@require_POST
def clear(request: HttpRequest, pk: int) -> HttpResponse:
    host = get_object_or_404(Host, pk=pk)

    def deed(actor: Actor) -> str:
        clear_cache(host=host, actor=actor)
        return f"The compiler cache of {host.name} is empty."

    return act(request, deed, links.CACHES)
