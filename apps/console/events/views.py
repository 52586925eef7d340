from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from apps.console.moment import Moment
from apps.console.pages import now, page
from apps.events.models import Event

KINDS = {
    "agent": "Agents",
    "wave": "Waves",
    "repository": "Repositories",
    "host": "Hosts",
    "alert": "Alerts",
    "rule": "Rules of alerts",
    "destination": "Destinations of alerts",
    "build": "Builds",
    "access": "Access",
}


@require_safe
def events(request: HttpRequest) -> HttpResponse:
    actors = Event.objects.order_by().values_list("actor", flat=True).distinct()[:200]
    return page(
        request,
        "console/events/list.html",
        "events",
        Moment(now()),
        {"events_list": {}},
        kinds=KINDS,
        actors=sorted(actors),
        filter_kind=request.GET.get("kind", ""),
        filter_actor=request.GET.get("actor", ""),
        filter_text=request.GET.get("q", "")[:60],
    )
