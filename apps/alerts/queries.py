"""Questions about alerts that pages, the API and the evaluation share."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from apps.alerts.domain.rules import Severity
from apps.alerts.models import Alert, AlertState, Evaluation, Silence

STALE = timedelta(seconds=15)  # rules are evaluated every two seconds


def silenced(alerts: Iterable[Alert], silences: Iterable[Silence]) -> dict[int, Silence]:
    """The silence that ends last of each alert that has one, by the alert's primary key."""
    longest = {(one.rule_id, one.subject_id): one for one in sorted(silences, key=lambda one: one.until)}
    found: dict[int, Silence] = {}
    for alert in alerts:
        keys = (alert.rule_id, alert.subject_id), (alert.rule_id, None)
        covering = [longest[key] for key in keys if key in longest]
        if covering:
            found[alert.pk] = max(covering, key=lambda one: one.until)
    return found


def for_a_person(now: datetime) -> list[Alert]:
    """Alerts that fire, and that nobody has acknowledged or silenced; the worst first."""
    rows = list(Alert.objects.filter(state=AlertState.FIRING).select_related("rule").order_by("-fired_at"))
    quiet = silenced(rows, Silence.objects.active(now)) if rows else {}
    return sorted((row for row in rows if row.pk not in quiet), key=lambda row: -rank(row))


def rank(alert: Alert) -> int:
    return Severity(alert.severity).rank


def last_evaluation() -> datetime | None:
    return Evaluation.objects.order_by().values_list("at", flat=True).first()


def watch_is_dead(now: datetime, at: datetime | None) -> bool:
    """Whether rules were evaluated once and aren't any more."""
    return at is not None and now - at > STALE
