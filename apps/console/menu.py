"""The sidebar: the areas that exist, and how many of each thing there are."""

from dataclasses import dataclass

from django.template.loader import render_to_string

from apps.alerts.domain.rules import Severity
from apps.alerts.queries import watch_is_dead
from apps.console import links
from apps.console.moment import Moment
from apps.console.regions import Fragment, Region, View
from apps.events.domain.actor import Role
from apps.fleet.domain.health import Health
from apps.fleet.models import LIVE
from apps.workspaces.models import Repository


@dataclass(frozen=True, slots=True)
class Entry:
    area: str
    word: str
    href: str
    count: str = ""
    tone: str = ""


def menu(view: View, moment: Moment) -> Fragment:
    context = {"view": view, "entries": entries(view, moment), "at": view.get("at")}
    return Fragment.simple(render_to_string("console/menu.html", context))


def entries(view: View, moment: Moment) -> list[Entry]:
    live = sum(moment.totals[state] for state in LIVE)
    ill = sum(host.health(moment.now) in (Health.CRITICAL, Health.FAILED) for host in moment.hosts)
    found = [
        Entry("yard", "Yard", links.YARD),
        alerts(moment),
        Entry("waves", "Waves", links.WAVES, counted(len(moment.open_waves))),
        Entry("agents", "Agents", links.AGENTS, counted(live)),
        Entry("builds", "Builds", links.BUILDS, counted(moment.builds_under_way)),
        Entry("repositories", "Repositories", links.REPOSITORIES, counted(Repository.objects.count())),
        Entry("hosts", "Hosts", links.HOSTS, counted(ill or len(moment.hosts)), "bad" if ill else ""),
        Entry("compare", "Compare", links.COMPARE),
        Entry("spending", "Spending", links.SPENDING),
        Entry("levels", "Service levels", links.SERVICE_LEVELS),
        Entry("events", "Events", links.EVENTS),
    ]
    if view.role >= Role.ADMIN:
        found.append(Entry("admin", "Admin", links.ADMIN))
    return found


def alerts(moment: Moment) -> Entry:
    """How many ask for a person; "!" while nobody evaluates the rules."""
    if watch_is_dead(moment.now, moment.evaluated_at):
        return Entry("alerts", "Alerts", links.ALERTS, "!", "bad")
    is_bad = any(alert.severity == Severity.CRITICAL for alert in moment.alerts)
    return Entry("alerts", "Alerts", links.ALERTS, counted(len(moment.alerts)), "bad" if is_bad else "")


def counted(count: int) -> str:
    return str(count) if count else ""


REGIONS = (
    Region("menu", menu, ("at",), frozenset({"agent", "wave", "host", "repository", "alert", "build"})),
)
