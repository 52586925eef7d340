"""What stands around one alert: the lines of its metric, and the agents that it concerns."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Q

from apps.alerts.domain.metrics import METRICS, Scope
from apps.alerts.domain.rules import Comparison
from apps.alerts.models import Alert
from apps.alerts.readings import LEAST_OPERATIONS
from apps.console import display, links
from apps.console.alerts.rows import figure
from apps.console.charts import Chart, compact, rounded
from apps.console.moment import Moment
from apps.fleet.domain.outcome import outcome_of
from apps.fleet.models import ENDED, LIVE, Agent
from apps.telemetry.snapshot import AgentFigures

MOST_AGENTS = 10
MOST_POINTS = 2000
LEAD = timedelta(minutes=2)  # that a chart shows before the alert
WINDOWS = ((timedelta(minutes=5), 300), (timedelta(hours=1), 3600))  # of live figures, the finest first
OWN_VALUES = (
    "latency_p95", "latency_p99", "error_rate", "lock_wait", "distribution_variance", "coordination_overhead",
)  # fmt: skip
LINES = {"latency_p95": "p95", "latency_p99": "p99"}  # of which live figures have lines
FIELDS = ("pk", "name", "state", "desired", "activity", "memory_bytes", "memory_budget_mb")

Series = tuple[list[float], list[float | None]]


@dataclass(frozen=True, slots=True)
class Concerned:
    name: str
    href: str
    sign: str
    tone: str
    word: str
    activity: str
    figure: str


def chart_of(alert: Alert) -> Chart:
    metric = METRICS[alert.rule.metric]
    return Chart("alert", metric.title, f"{metric.unit}, threshold dashed".lstrip(", "), metric.unit)


def chart_data(alert: Alert, moment: Moment) -> str:
    """The metric from a little before the alert on, as far as it is known."""
    times, values = live_lines(alert, moment) or points_of(alert)
    word = f"threshold {figure(alert.threshold, alert.rule.unit)}"
    lines = {METRICS[alert.rule.metric].title: rounded(values)}
    under = alert.rule.comparison == Comparison.ABOVE  # the line is on the other side
    data: dict[str, Any] = {"lines": lines, "target": alert.threshold, "word": word, "under": under}
    return compact({"times": times, "alert": data, "empty": "too short for a chart so far"})


def live_lines(alert: Alert, moment: Moment) -> Series | None:
    """Lines of the live figures, which go back to before the alert; None where there are none."""
    name = LINES.get(alert.rule.metric)
    start = alert.pending_at - LEAD
    window = next((seconds for length, seconds in WINDOWS if moment.now - start <= length), None)
    if name is None or window is None or alert.scope not in (Scope.AGENT, Scope.YARD):
        return None
    if alert.scope == Scope.AGENT:
        charts: Any = moment.agent_charts(alert.subject_id, window)
    else:
        snapshot = moment.snapshot(window)
        charts = snapshot.charts if snapshot else None
    if charts is None or not charts.times:
        return None
    return [round(at, 1) for at in charts.times], getattr(charts, name)


def points_of(alert: Alert) -> Series:
    """What the evaluation saw while the alert was open."""
    rows = list(alert.points.order_by("-at").values_list("at", "value")[:MOST_POINTS])
    return [at.timestamp() for at, _ in reversed(rows)], [value for _, value in reversed(rows)]


def concerned(alert: Alert, moment: Moment) -> list[Concerned]:
    if is_ranked(alert):
        return by_figures(alert.rule.metric, moment, None if alert.scope == Scope.YARD else within(alert))
    return [concerned_agent(agent, memory(agent)) for agent in agents_of(alert)]


def is_ranked(alert: Alert) -> bool:
    """Whether its agents are told apart by figures of their own."""
    return alert.scope == Scope.YARD or (alert.scope != Scope.AGENT and alert.rule.metric in OWN_VALUES)


def within(alert: Alert) -> set[int]:
    """The agents of the wave or host that it is about."""
    about = Q(group=alert.subject) if alert.scope == Scope.WAVE else Q(host_id=alert.subject_id)
    return set(Agent.objects.filter(about, state__in=LIVE).values_list("pk", flat=True))


def agents_of(alert: Alert) -> list[Agent]:
    rows = Agent.objects.only(*FIELDS)
    if alert.scope == Scope.AGENT:
        return list(rows.filter(pk=alert.subject_id))
    if alert.scope == Scope.WAVE:
        return list(rows.filter(group=alert.subject).exclude(state__in=ENDED).order_by("pk")[:MOST_AGENTS])
    live = rows.filter(host_id=alert.subject_id, state__in=LIVE, memory_bytes__isnull=False)
    return list(live.order_by("-memory_bytes")[:MOST_AGENTS])


def by_figures(metric: str, moment: Moment, only: Collection[int] | None = None) -> list[Concerned]:
    """Those whose own figures of the last minute are the worst."""
    snapshot = moment.snapshot(60)
    if snapshot is None:
        return []
    values = {
        pk: own_value(metric, figures)
        for pk, figures in snapshot.agents.items()
        if only is None or pk in only
    }
    known = {pk: value for pk, value in values.items() if value is not None}
    worst = sorted(known, key=lambda pk: known[pk], reverse=True)[:MOST_AGENTS]
    agents = {agent.pk: agent for agent in Agent.objects.only(*FIELDS).filter(pk__in=worst)}
    return [concerned_agent(agents[pk], own_text(metric, known[pk])) for pk in worst if pk in agents]


def own_value(metric: str, figures: AgentFigures) -> float | None:
    if metric == "distribution_variance":
        return float(figures.operations)
    if metric == "lock_wait":
        return figures.wait_pct
    if metric == "error_rate":
        return 100 * figures.errors / figures.operations if figures.operations >= LEAST_OPERATIONS else None
    if metric == "coordination_overhead":
        efficiency = figures.coordination_efficiency
        return None if efficiency is None else 100 * (1 - efficiency)
    name = LINES.get(metric)
    return getattr(figures, name) if name else None


def own_text(metric: str, value: float) -> str:
    if metric == "distribution_variance":
        return display.plural(int(value), "operation")
    return figure(value, METRICS[metric].unit)


def memory(agent: Agent) -> str:
    if agent.memory_bytes is None:
        return ""
    return f"{display.size_text(agent.memory_bytes)} of {agent.memory_budget_mb} MB"


def concerned_agent(agent: Agent, text: str) -> Concerned:
    word = outcome_of(agent.state, agent.desired)
    sign, tone = display.STATE_SIGNS[word]
    return Concerned(agent.name, links.agent(agent.pk), sign, tone, word, agent.activity, text)
