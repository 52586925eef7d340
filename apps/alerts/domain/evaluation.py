"""What follows for a rule's alerts from the values of one moment. Pure: no clock, no rows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from apps.alerts.domain.rules import RuleSpec

NO_DATA_LASTS = timedelta(seconds=60)  # without a value, until an alert that fires is given up
LEAST_CALM = timedelta(seconds=10)  # an alert is over after this long at least, whatever its rule says
MOST_SUBJECTS = 200  # with an open alert by one rule: when everything is ill, more rows say nothing more


@dataclass(frozen=True, slots=True)
class Subject:
    """What a value is about. The yard has pk 0; it is the only one."""

    scope: str
    pk: int
    name: str = field(compare=False)


@dataclass(frozen=True, slots=True)
class Readings:
    """Values by (metric, scope), then by subject. A subject that isn't there has no data: no rule fires for it."""

    values: Mapping[tuple[str, str], Mapping[Subject, float]]

    def of(self, rule: RuleSpec) -> Mapping[Subject, float]:
        return self.values.get((rule.metric, rule.scope), {})


class State(StrEnum):
    PENDING = "pending"
    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


OPEN_STATES = (State.PENDING, State.FIRING, State.ACKNOWLEDGED)


@dataclass(frozen=True, slots=True)
class Open:
    """An alert that isn't over. `calm_at`: since when its value is back. `seen_at`: when it last had a value."""

    pk: int
    state: str
    pending_at: datetime
    seen_at: datetime
    calm_at: datetime | None = None


class Verdict(StrEnum):
    PENDING = "pending"  # it begins to hold
    FIRE = "fire"  # it has held for long enough
    DROP = "drop"  # it didn't hold for long enough
    RESOLVE = "resolve"
    CALM = "calm"  # the value is back, but not for long enough
    UNREST = "unrest"  # the value was back, and isn't any more
    STAY = "stay"


@dataclass(frozen=True, slots=True)
class Transition:
    """`alert` is None where a new one begins: PENDING, or FIRE at once where the rule asks for no duration."""

    verdict: Verdict
    subject: Subject
    alert: int | None
    value: float | None
    why: str = ""


def evaluate(
    rule: RuleSpec, values: Mapping[Subject, float], alerts: Mapping[Subject, Open], now: datetime
) -> list[Transition]:
    """One answer for each open alert of the rule, and one for each subject for which the rule begins to hold."""
    found = [_of_open(rule, subject, alert, values.get(subject), now) for subject, alert in alerts.items()]
    found += _new(rule, values, alerts)
    return found


def left_out(rule: RuleSpec, values: Mapping[Subject, float], alerts: Mapping[Subject, Open]) -> int:
    """For how many subjects the rule holds that get no alert, since there are too many already."""
    ill = sum(rule.is_beyond(value) for subject, value in values.items() if subject not in alerts)
    return max(0, ill - max(0, MOST_SUBJECTS - len(alerts)))


def _new(
    rule: RuleSpec, values: Mapping[Subject, float], alerts: Mapping[Subject, Open]
) -> Iterator[Transition]:
    ill = [
        (subject, value)
        for subject, value in values.items()
        if subject not in alerts and rule.is_beyond(value)
    ]
    ill.sort(key=lambda one: abs(one[1] - rule.threshold), reverse=True)
    verdict = Verdict.PENDING if rule.for_seconds else Verdict.FIRE
    for subject, value in ill[: max(0, MOST_SUBJECTS - len(alerts))]:
        yield Transition(verdict, subject, None, value)


def _of_open(rule: RuleSpec, subject: Subject, alert: Open, value: float | None, now: datetime) -> Transition:
    if value is None:
        return _without_value(subject, alert, now)
    verdict, why = (
        _pending(rule, alert, value, now)
        if alert.state == State.PENDING
        else _firing(rule, alert, value, now)
    )
    return Transition(verdict, subject, alert.pk, value, why)


def _without_value(subject: Subject, alert: Open, now: datetime) -> Transition:
    """Nobody knows whether a rule holds that has no data: it never begins to fire, and one that fires waits a while."""
    if alert.state == State.PENDING:
        return Transition(Verdict.DROP, subject, alert.pk, None, "no data")
    if now - alert.seen_at >= NO_DATA_LASTS:
        return Transition(Verdict.RESOLVE, subject, alert.pk, None, "no data any more")
    return Transition(Verdict.STAY, subject, alert.pk, None)


def _pending(rule: RuleSpec, alert: Open, value: float, now: datetime) -> tuple[Verdict, str]:
    if not rule.is_beyond(value):
        return Verdict.DROP, "back before its time"
    held = now - alert.pending_at >= timedelta(seconds=rule.for_seconds)
    return (Verdict.FIRE if held else Verdict.STAY), ""


def _firing(rule: RuleSpec, alert: Open, value: float, now: datetime) -> tuple[Verdict, str]:
    if not rule.is_back(value):
        return (Verdict.UNREST if alert.calm_at else Verdict.STAY), ""
    if alert.calm_at is None:
        return Verdict.CALM, ""
    if now - alert.calm_at >= max(LEAST_CALM, timedelta(seconds=rule.for_seconds)):
        return Verdict.RESOLVE, "the value is back"
    return Verdict.STAY, ""
