"""The live region of the events page: the audit trail, newest first."""

from django.core.paginator import Paginator
from django.db.models import Q
from django.template.loader import render_to_string

from apps.console import links
from apps.console.moment import Moment
from apps.console.regions import Fragment, Region, View
from apps.events.models import Event, EventQuerySet

PAGE = 100
# Of an alert that has come this far the row is kept; one that was only pending may be gone.
LASTING = {f"alert.{word}" for word in ("fired", "acknowledged", "silenced", "resolved")}


def events_list(view: View, moment: Moment) -> Fragment:
    shown = Paginator(matching(view), PAGE).get_page(view.page)
    lines = [(event, href_of(event)) for event in shown]
    context = {"view": view, "lines": lines, "page": shown, "query": view.keep("kind", "actor", "q")}
    return Fragment.simple(render_to_string("console/events/region.html", context))


def matching(view: View) -> EventQuerySet:
    events = Event.objects.newest_first()
    if view.get("kind"):
        events = events.filter(kind__startswith=view.get("kind"))
    if view.get("actor"):
        events = events.filter(actor=view.get("actor"))
    if view.get("q"):
        events = events.filter(Q(text__icontains=view.get("q")) | Q(subject__icontains=view.get("q")))
    return events


def href_of(event: Event) -> str:
    """The page of what the event is about."""
    if event.topic == "agent" and event.subject_id:
        return links.agent(event.subject_id)
    if event.topic == "wave" and event.subject:
        return links.wave(event.subject)
    if event.topic == "build" and event.subject_id:
        return links.build(event.subject_id)
    if event.topic == "alert" and event.kind in LASTING:
        return links.alert(event.subject_id or 0)
    return {"alert": links.ALERTS, "repository": links.REPOSITORIES, "host": links.HOSTS}.get(event.topic, "")


REGIONS = (
    Region(
        "events_list",
        events_list,
        ("kind", "actor", "q", "page"),
        frozenset({"agent", "wave", "repository", "host", "alert"}),
    ),
)
