"""Alerts as pages show them: sign, word, value against threshold, subject with its link."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from apps.alerts.domain.metrics import Scope
from apps.alerts.domain.rules import Severity
from apps.alerts.models import Alert, AlertState, Silence
from apps.console import display, links
from apps.telemetry.domain.subjects import YARD, of_agent

SEVERITY_SIGNS = {"critical": ("▲", "bad"), "warning": ("◆", "warn"), "info": ("●", "quiet")}
STATE_SIGNS = {
    "firing": ("●", "bad"),
    "acknowledged": ("◐", "plain"),
    "silenced": ("○", "quiet"),
    "pending": ("◔", "quiet"),
    "resolved": ("✓", "good"),
}
ORDER = ("firing", "acknowledged", "silenced", "pending", "resolved")
VERBS = (
    ("acknowledge", "Acknowledge"),
    ("silence-1h", "Silence 1 h"),
    ("silence-8h", "Silence 8 h"),
    ("resolve", "Resolve"),
)


@dataclass(frozen=True, slots=True)
class Line:
    alert: Alert
    href: str
    subject_href: str
    severity_sign: str
    severity_tone: str
    state: str
    sign: str
    tone: str
    value: str
    threshold: str
    worst: str
    since: datetime
    lasted: str
    note: str
    verbs: list[tuple[str, str]]


def line_of(alert: Alert, silence: Silence | None, now: datetime, *, acts: bool) -> Line:
    state = "silenced" if silence and alert.state == AlertState.FIRING else alert.state
    severity_sign, severity_tone = SEVERITY_SIGNS[alert.severity]
    sign, tone = STATE_SIGNS[state]
    return Line(
        alert=alert,
        href=links.alert(alert.pk),
        subject_href=subject_href(alert.scope, alert.subject_id, alert.subject),
        severity_sign=severity_sign,
        severity_tone=severity_tone if alert.is_open else "quiet",
        state=state,
        sign=sign,
        tone=tone,
        value=figure(alert.value, alert.rule.unit),
        threshold=f"{'>' if alert.rule.comparison == 'above' else '<'} {figure(alert.threshold, alert.rule.unit)}",
        worst=figure(alert.worst, alert.rule.unit),
        since=alert.fired_at or alert.pending_at,
        lasted="" if alert.is_open else display.duration(alert.lasted(now)),
        note=note_of(alert, silence),
        verbs=verbs_of(alert) if acts else [],
    )


def lines_of(alerts: list[Alert], quiet: Mapping[int, Silence], now: datetime, *, acts: bool) -> list[Line]:
    return [line_of(alert, quiet.get(alert.pk), now, acts=acts) for alert in alerts]


def in_order(line: Line) -> tuple[int, int]:
    """Firing first, and the worst of them first."""
    return ORDER.index(line.state), -Severity(line.alert.severity).rank


def verbs_of(alert: Alert) -> list[tuple[str, str]]:
    return [(verb, word) for verb, word in VERBS if alert.can(verb.partition("-")[0])]


def note_of(alert: Alert, silence: Silence | None) -> str:
    if alert.state == AlertState.RESOLVED:
        return alert.resolved_why
    if alert.calm_at is not None:
        return "the value is back; it is over when it stays so"
    return f"silenced by {silence.begun_by}" if silence else ""


def figure(value: float, unit: str) -> str:
    digits = 0 if abs(value) >= 100 or value == int(value) else 1 if abs(value) >= 10 else 2
    if unit == "s" and value >= 90:
        return display.duration(value)
    return f"{display.number(value, digits)}{display.NARROW if unit else ''}{unit}"


def history_href(scope: str, pk: int, name: str) -> str:
    """The charts of what it is about, over up to 30 days."""
    if scope == Scope.YARD:
        return links.history_of(YARD)
    return links.history_of(of_agent(pk) if scope == Scope.AGENT else f"{scope}:{name}")


def subject_href(scope: str, pk: int, name: str) -> str:
    if scope == Scope.AGENT:
        return links.agent(pk)
    if scope == Scope.WAVE:
        return links.wave(name)
    return links.HOSTS if scope == Scope.HOST else links.YARD
