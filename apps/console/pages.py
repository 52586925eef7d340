"""What every page has: its live regions, its reader's role, and the doors through which buttons act."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render

from apps.access.exceptions import NotAllowed
from apps.access.roles import actor_for, require
from apps.alerts.exceptions import AlertRefused
from apps.builds.exceptions import BaseRefused, OptionRefused, RecordingRefused
from apps.builds.sccache import CacheBusy, CacheRefused
from apps.console.catalogue import REGIONS
from apps.console.moment import Moment
from apps.console.regions import DEFAULT_WINDOW, PARAMETERS, WINDOW_WORDS, Fragment, View
from apps.events.domain.actor import Actor, Role
from apps.fleet.exceptions import AgentRefused
from apps.lib.questions import NoAnswer
from apps.waves.exceptions import WaveRefused
from apps.workspaces.exceptions import RepositoryRefused

REFUSALS = (
    *(AgentRefused, AlertRefused, WaveRefused, RepositoryRefused),
    *(BaseRefused, OptionRefused, RecordingRefused, CacheRefused, CacheBusy, NoAnswer),
)
CONFLICT = 409
FORBIDDEN = 403


def now() -> datetime:
    return datetime.now(UTC)


def role_in(request: HttpRequest) -> Role:
    """The reader's role, read once a request."""
    known: Role | None = getattr(request, "yard_role", None)
    if known is None:
        known = actor_for(request.user).role
        request.yard_role = known  # type: ignore[attr-defined]
    return known


def view_of(name: str, request: HttpRequest, **fixed: str) -> View:
    """The view of a region that the page's address asks for; `fixed` parameters are the page's own."""
    return REGIONS[name].view({**request.GET.dict(), **fixed}, role_in(request))


def region(name: str, request: HttpRequest, moment: Moment, **fixed: str) -> Fragment:
    return REGIONS[name].render(view_of(name, request, **fixed), moment)


def page(
    request: HttpRequest,
    template: str,
    area: str,
    moment: Moment,
    regions: dict[str, dict[str, str]],
    **context: Any,
) -> HttpResponse:
    """A page of `area` with its live `regions`, by name with the parameters that the page fixes."""
    html = {name: region(name, request, moment, **fixed).html for name, fixed in regions.items()}
    role = role_in(request)
    base = {
        "area": area,
        "menu": region("menu", request, moment, at=area).html,
        "role": role.word,
        "acts": role >= Role.OPERATOR,
        "windows": windows(request),
    }
    return render(request, template, {**base, **html, **context})


def windows(request: HttpRequest) -> list[dict[str, Any]]:
    """The switch between spans of time, as links that keep the rest of the address."""
    current = PARAMETERS["window"](request.GET.get("window", "")) or DEFAULT_WINDOW
    found = []
    for key, word in WINDOW_WORDS.items():
        query = request.GET.copy()
        query["window"] = key
        query.pop("page", None)
        found.append({"word": word, "href": f"?{query.urlencode()}", "current": key == current})
    return found


def fragment(request: HttpRequest, name: str) -> HttpResponse:
    """One region alone: for the page that polls because it has no websocket."""
    if name not in REGIONS:
        raise Http404(f"There is no region {name}.")
    return HttpResponse(region(name, request, Moment(now())).html)


def require_operator(request: HttpRequest, what: str) -> Actor:
    actor = actor_for(request.user)
    require(actor, Role.OPERATOR, what)
    return actor


def act(request: HttpRequest, do: Callable[[Actor], str], back: str) -> HttpResponse:
    """Runs an action for this person. What it answers, or why it refuses, is shown as a toast (htmx), or on the page
    `back`, to which a plain form returns."""
    try:
        actor = actor_for(request.user)
        require(actor, Role.OPERATOR, "do this")
        said = do(actor)
    except REFUSALS as refusal:
        return answer(request, str(refusal), "bad", back, CONFLICT)
    except NotAllowed as refusal:
        return answer(request, str(refusal), "bad", back, FORBIDDEN)
    return answer(request, said, "good", back, 200)


def answer(request: HttpRequest, text: str, tone: str, back: str, status: int) -> HttpResponse:
    if is_htmx(request):
        response = HttpResponse(status=204 if status == 200 else status)
        # ASCII, as a header must be; the browser's script reads the escapes.
        response["HX-Trigger"] = json.dumps({"toast": {"text": text, "tone": tone}})
        return response
    if status == FORBIDDEN:
        return refused(request, text)
    messages.add_message(request, messages.SUCCESS if tone == "good" else messages.ERROR, text)
    return HttpResponseRedirect(back)


def refused(request: HttpRequest, text: str) -> HttpResponse:
    """What a person is told who may not do what they asked for."""
    if is_htmx(request):
        return answer(request, text, "bad", "/", FORBIDDEN)
    return render(request, "console/refused.html", {"text": text}, status=FORBIDDEN)


def is_htmx(request: HttpRequest) -> bool:
    return request.headers.get("HX-Request") == "true"
