"""The live regions of the alerts' pages."""

from django.core.paginator import Paginator
from django.db.models import Count, Q
from django.http import Http404
from django.template.loader import render_to_string

from apps.alerts.models import Alert, AlertState, Delivery, Destination, Silence
from apps.alerts.queries import silenced, watch_is_dead
from apps.console.alerts.around import chart_data, concerned, is_ranked
from apps.console.alerts.rows import in_order, line_of, lines_of
from apps.console.moment import Moment
from apps.console.regions import Fragment, Region, View
from apps.events.domain.actor import Role
from apps.events.models import Event
from apps.lib.text import plain_text

PAGE = 50
MOST_OPEN = 300
EVENTS = 30
DELIVERIES = 50


def alerts_watch(view: View, moment: Moment) -> Fragment:
    """Who watches the watch? The web process does, by the age of the last evaluation."""
    at = moment.evaluated_at
    context = {"view": view, "at": at, "dead": watch_is_dead(moment.now, at)}
    return Fragment.simple(render_to_string("console/alerts/watch.html", context))


def alerts_table(view: View, moment: Moment) -> Fragment:
    is_over = view.get("state") == "resolved"
    rows = Alert.objects.select_related("rule").order_by("-pk")
    over = Paginator(rows.filter(state=AlertState.RESOLVED), PAGE).get_page(view.page) if is_over else None
    alerts = list(over.object_list) if over else list(rows.open()[:MOST_OPEN])
    quiet = {} if is_over else silenced(alerts, Silence.objects.active(moment.now))
    lines = lines_of(alerts, quiet, moment.now, acts=view.acts)
    context = {
        "view": view,
        "lines": lines if is_over else sorted(lines, key=in_order),
        "page": over,
        "query": view.keep("state"),
        "is_over": is_over,
        "most": MOST_OPEN if len(lines) == MOST_OPEN and not is_over else 0,
    }
    return Fragment.simple(render_to_string("console/alerts/table.html", context))


def alert_of(view: View) -> Alert:
    alert = Alert.objects.select_related("rule").filter(pk=int(view.get("pk") or 0)).first()
    if alert is None:
        raise Http404("There is no such alert (any more).")
    return alert


def alert_head(view: View, moment: Moment) -> Fragment:
    alert = alert_of(view)
    silence = silenced([alert], Silence.objects.active(moment.now)).get(alert.pk)
    line = line_of(alert, silence, moment.now, acts=view.acts)
    context = {"view": view, "line": line, "alert": alert, "silence": silence}
    return Fragment.simple(render_to_string("console/alerts/head.html", context))


def alert_charts(view: View, moment: Moment) -> Fragment:
    data = chart_data(alert_of(view), moment)
    return Fragment.simple(render_to_string("console/charts_data.html", {"view": view, "data": data}))


def alert_agents(view: View, moment: Moment) -> Fragment:
    alert = alert_of(view)
    context = {"view": view, "agents": concerned(alert, moment), "is_ranked": is_ranked(alert)}
    return Fragment.simple(render_to_string("console/alerts/agents.html", context))


def alert_events(view: View, moment: Moment) -> Fragment:
    events = Event.objects.about("alert", int(view.get("pk") or 0)).newest_first()[:EVENTS]
    return Fragment.simple(render_to_string("console/events/feed.html", {"view": view, "events": events}))


def silences_list(view: View, moment: Moment) -> Fragment:
    rows = Silence.objects.active(moment.now).select_related("rule").order_by("until")[:MOST_OPEN]
    context = {"view": view, "silences": rows}
    return Fragment.simple(render_to_string("console/alerts/silences_region.html", context))


def destinations_list(view: View, moment: Moment) -> Fragment:
    failed = Count("deliveries", filter=Q(deliveries__state="failed"))
    delivered = Count("deliveries", filter=Q(deliveries__state="delivered"))
    rows = Destination.objects.order_by("name").annotate(failed=failed, delivered=delivered)
    context = {"view": view, "destinations": rows, "is_admin": view.role >= Role.ADMIN}
    return Fragment.simple(render_to_string("console/alerts/destinations_region.html", context))


def deliveries_list(view: View, moment: Moment) -> Fragment:
    rows = Delivery.objects.select_related("destination").prefetch_related("alerts__rule")
    lines = [(row, what_of(row)) for row in rows.order_by("-pk")[:DELIVERIES]]
    return Fragment.simple(render_to_string("console/alerts/deliveries.html", {"view": view, "lines": lines}))


def what_of(delivery: Delivery) -> str:
    alerts = list(delivery.alerts.all())
    if not alerts:
        return "test message"
    return f"digest of {len(alerts)} alerts" if delivery.is_digest else plain_text(str(alerts[0]), 120)


CHANGES = frozenset({"alert"})

REGIONS = (
    Region("alerts_watch", alerts_watch),
    Region("alerts_table", alerts_table, ("state", "page"), CHANGES),
    Region("alert_head", alert_head, ("pk",), CHANGES),
    Region("alert_charts", alert_charts, ("pk",), CHANGES),
    Region("alert_agents", alert_agents, ("pk",), CHANGES | {"agent"}),
    Region("alert_events", alert_events, ("pk",), CHANGES),
    Region("silences_list", silences_list, (), CHANGES),
    Region("destinations_list", destinations_list, (), CHANGES),
    Region("deliveries_list", deliveries_list, (), CHANGES),
)
