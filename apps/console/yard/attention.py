"""What needs a person, most urgent first."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q

from apps.alerts.domain.rules import Severity
from apps.alerts.models import Alert
from apps.alerts.queries import watch_is_dead
from apps.console import display, links
from apps.console.alerts.rows import figure
from apps.console.freshness import late_since
from apps.console.moment import Moment
from apps.fleet.domain.health import Health
from apps.fleet.models import Agent, Host, State
from apps.lib.text import plain_text
from apps.waves.models import Wave, WaveState
from apps.workspaces.models import Repository, RepositoryState

RECENT = timedelta(minutes=15)  # for which a failure outside an open wave is shown
SINGLY = 2  # agents of one wave with the same trouble are listed one by one up to here
MAX_AGENTS = 500
AT_ONCE = 5  # items shown without unfolding
MAX_ITEMS = 40


@dataclass(frozen=True, slots=True)
class Item:
    """`since`: when it began, None where that isn't known."""

    tag: str
    tone: str  # bad or warn
    subject: str
    href: str
    text: str
    since: datetime | None = None
    button: str = "Look"


def items(moment: Moment) -> list[Item]:
    troubled = troubled_agents(moment)
    found = [
        *watch_items(moment),
        *alert_items(moment.alerts),
        *agent_items((agent for agent in troubled if agent.state == State.WAITING), "input"),
        *host_items(moment.hosts, moment.now),
        *wave_items(moment.open_waves),
        *agent_items((agent for agent in troubled if agent.state == State.FAILED), "failed"),
        *agent_items((agent for agent in troubled if agent.state == State.LOST), "lost"),
        *repository_items(),
        *figure_items(moment),
    ]
    return sorted(found, key=lambda item: item.tone != "bad")


def watch_items(moment: Moment) -> list[Item]:
    """The dead man's switch: whoever evaluates the rules can't tell that it is gone."""
    if not watch_is_dead(moment.now, moment.evaluated_at):
        return []
    text = "are watched by nobody: is the scheduler running?"
    return [Item("alerts", "bad", "Alerts", links.ALERTS, text, moment.evaluated_at)]


def alert_items(alerts: Iterable[Alert]) -> list[Item]:
    """What is only told stays on the alerts' page, and a host without a heartbeat has an item of its own."""
    by_rule: dict[int, list[Alert]] = {}
    for alert in alerts:
        if alert.severity != Severity.INFO and alert.rule.metric != "heartbeat_age":
            by_rule.setdefault(alert.rule_id, []).append(alert)
    found = []
    for members in by_rule.values():
        if len(members) > SINGLY:
            found.append(alert_group_item(members))
        else:
            found += [alert_item(alert) for alert in members]
    return found


def alert_item(alert: Alert) -> Item:
    value, threshold = (figure(number, alert.rule.unit) for number in (alert.value, alert.threshold))
    text = f"· {alert.subject}: {value}, threshold {threshold}"
    return Item(
        alert.severity, tone_of(alert), alert.rule.title, links.alert(alert.pk), text, alert.fired_at, "Open"
    )


def alert_group_item(alerts: list[Alert]) -> Item:
    first = alerts[0]
    text = f"{len(alerts)} alerts"
    return Item(first.severity, tone_of(first), first.rule.title, links.ALERTS, text, first.fired_at, "Open")


def tone_of(alert: Alert) -> str:
    return "bad" if alert.severity == Severity.CRITICAL else "warn"


def troubled_agents(moment: Moment) -> list[Agent]:
    labels = [wave.label for wave in moment.open_waves]
    failed = Q(state__in=(State.FAILED, State.LOST), restart_at=None)
    shown = Q(group__in=labels) | Q(ended_at__gt=moment.now - RECENT)
    agents = Agent.objects.filter(Q(state=State.WAITING) | (failed & shown)).order_by("pk")
    return list(
        agents.only("pk", "name", "group", "state", "reason", "activity", "ended_at", "output_at")[
            :MAX_AGENTS
        ]
    )


def agent_items(agents: Iterable[Agent], tag: str) -> list[Item]:
    by_wave: dict[str, list[Agent]] = {}
    for agent in agents:
        by_wave.setdefault(agent.group, []).append(agent)
    found = []
    for label, members in by_wave.items():
        if len(members) > SINGLY:
            found.append(group_item(label, members, tag))
        else:
            found += [agent_item(agent, tag) for agent in members]
    return found


def agent_item(agent: Agent, tag: str) -> Item:
    if agent.state == State.WAITING:
        asks = plain_text(agent.activity or agent.reason, 200)
        text, since = f"asks: “{asks}”" if asks else "waits for input", agent.output_at
    else:
        text, since = plain_text(agent.reason, 200) or "no reason is known", agent.ended_at
    return Item(tag, "bad", agent.name, links.agent(agent.pk), text, since)


def group_item(label: str, agents: list[Agent], tag: str) -> Item:
    word = "wait for input" if tag == "input" else tag
    state = "waiting" if tag == "input" else "failed"
    reasons = Counter(plain_text(agent.reason or agent.activity, 60) for agent in agents).most_common(2)
    detail = ", ".join(f"{reason} ({count})" for reason, count in reasons if reason)
    text = f"{len(agents)} agents {word}" + (f": {detail}" if detail and tag != "input" else "")
    newest = max((agent.ended_at for agent in agents if agent.ended_at), default=None)
    return Item(tag, "bad", label, links.agents_of(label, state), text, newest)


def host_items(hosts: Iterable[Host], now: datetime) -> list[Item]:
    found = []
    for host in hosts:
        health = host.health(now)
        if health in (Health.DEGRADED, Health.CRITICAL, Health.FAILED):
            tone = "warn" if health == Health.DEGRADED else "bad"
            text = "gives no heartbeat: is its runhost process running?"
            found.append(Item(f"host {health}", tone, host.name, links.HOSTS, text, host.heartbeat_at))
    return found


def wave_items(waves: Iterable[Wave]) -> list[Item]:
    found = []
    for wave in waves:
        href = links.wave(wave.label)
        if wave.state == WaveState.PAUSED and not wave.reason.startswith("by "):
            found.append(
                Item("held", "bad", wave.label, href, plain_text(wave.reason, 200), wave.step_at, "Open")
            )
        elif wave.is_short_of_room:
            text = f"waits for {plain_text(wave.waiting_for, 200)}"
            found.append(Item("capacity", "warn", wave.label, href, text, wave.step_at, "Open"))
    return found


def repository_items() -> list[Item]:
    failed = Repository.objects.filter(state=RepositoryState.FAILED).order_by("-added_at")[:3]
    return [
        Item("repository", "warn", row.name, links.REPOSITORIES, plain_text(row.problem, 200), row.added_at)
        for row in failed
    ]


def figure_items(moment: Moment) -> list[Item]:
    snapshot = moment.snapshot(300)
    at = late_since(snapshot, moment.now)
    if at is None or not any(moment.totals[state] for state in ("busy", "idle")):
        return []
    text = "are not renewed: is the telemetry process running?"
    return [Item("figures", "warn", "Figures", links.HOSTS, text, at)]


def summary(found: list[Item]) -> str:
    return f"{display.plural(len(found), 'thing')} need{'s' if len(found) == 1 else ''} a person"
