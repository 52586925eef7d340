"""What the evaluation writes: alerts that begin, fire, calm down and are over, each transition with its event."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from django.db import connection, transaction

from apps.alerts.domain.evaluation import Transition, Verdict
from apps.alerts.domain.rules import DEFAULTS, RuleSpec
from apps.alerts.models import FIRING_STATES, Alert, AlertPoint, AlertState, Evaluation, Rule
from apps.events.actions import Fact, record_all
from apps.events.domain.actor import YARD, Actor

POINT_SECONDS = 10  # between two points of an alert's chart, in its first hour
LATER_POINT_SECONDS = 600
FIRST = timedelta(hours=1)


def ensure_rules(known: Iterable[str]) -> None:
    """The yard's own rules that aren't there yet; those that are keep what people made of them."""
    missing = [rule for rule in DEFAULTS if rule.key not in set(known)]
    Rule.objects.bulk_create([Rule(**fields_of(rule)) for rule in missing], ignore_conflicts=True)


def fields_of(rule: RuleSpec) -> dict[str, object]:
    return {name: getattr(rule, name) for name in RuleSpec.__slots__}


@transaction.atomic
def apply(rule: Rule, transitions: Sequence[Transition], alerts: Mapping[int, Alert], now: datetime) -> None:
    """Write what was decided on `alerts`. Whoever was faster (a person who resolved one) wins."""
    written = [WRITERS[transition.verdict](rule, transition, now) for transition in transitions]
    record_all(fact for fact in written if fact is not None)
    stays = [one for one in transitions if one.alert is not None and one.verdict != Verdict.DROP]
    note_values([one for one in stays if one.value is not None], alerts, now)


def begin(rule: Rule, transition: Transition, now: datetime) -> Fact | None:
    fires = transition.verdict == Verdict.FIRE
    value = transition.value or 0.0
    subject = transition.subject
    alert = Alert.objects.create(
        rule=rule,
        scope=subject.scope,
        subject_id=subject.pk,
        subject=subject.name,
        state=AlertState.FIRING if fires else AlertState.PENDING,
        severity=rule.severity,
        value=value,
        worst=value,
        threshold=rule.threshold,
        pending_at=now,
        fired_at=now if fires else None,
        seen_at=now,
    )
    AlertPoint.objects.create(alert=alert, at=now, value=value)
    word = "fires" if fires else "may fire soon"
    return fact_of(
        alert, "fired" if fires else "pending", YARD, f"{alert} {word}, at {value:.4g} {rule.unit}".rstrip()
    )


def fire(rule: Rule, transition: Transition, now: datetime) -> Fact | None:
    if transition.alert is None:
        return begin(rule, transition, now)
    rows = Alert.objects.filter(pk=transition.alert, state=AlertState.PENDING)
    news = {"severity": rule.severity, "threshold": rule.threshold}  # it may have been changed meanwhile
    if rows.update(state=AlertState.FIRING, fired_at=now, **news) != 1:
        return None
    alert = Alert.objects.select_related("rule").get(pk=transition.alert)
    return fact_of(alert, "fired", YARD, f"{alert} fires, at {transition.value:.4g} {rule.unit}".rstrip())


def drop(rule: Rule, transition: Transition, now: datetime) -> Fact | None:
    pending = Alert.objects.select_related("rule").filter(state=AlertState.PENDING)
    alert = pending.filter(pk=transition.alert or 0).first()
    if alert is None:
        return None
    fact = fact_of(alert, "dropped", YARD, f"{alert} doesn't fire: {transition.why}")
    alert.delete()
    return fact


def resolve(rule: Rule, transition: Transition, now: datetime) -> Fact | None:
    return end(transition.alert or 0, YARD, transition.why, now)


def end(pk: int, actor: Actor, why: str, now: datetime) -> Fact | None:
    """An alert that fires is over. None when it was over before."""
    rows = Alert.objects.filter(pk=pk, state__in=FIRING_STATES)
    if rows.update(state=AlertState.RESOLVED, resolved_at=now, resolved_why=why[:200]) != 1:
        return None
    alert = Alert.objects.select_related("rule").get(pk=pk)
    return fact_of(alert, "resolved", actor, f"{alert} is over after {alert.lasted(now):.0f} s: {why}")


def calm(rule: Rule, transition: Transition, now: datetime) -> Fact | None:
    Alert.objects.filter(pk=transition.alert or 0, calm_at=None).update(calm_at=now)
    return None


def unrest(rule: Rule, transition: Transition, now: datetime) -> Fact | None:
    Alert.objects.filter(pk=transition.alert or 0).update(calm_at=None)
    return None


def stay(rule: Rule, transition: Transition, now: datetime) -> Fact | None:
    return None


WRITERS: dict[Verdict, Callable[[Rule, Transition, datetime], Fact | None]] = {
    Verdict.PENDING: begin,
    Verdict.FIRE: fire,
    Verdict.DROP: drop,
    Verdict.RESOLVE: resolve,
    Verdict.CALM: calm,
    Verdict.UNREST: unrest,
    Verdict.STAY: stay,
}


def note_values(transitions: Iterable[Transition], alerts: Mapping[int, Alert], now: datetime) -> None:
    """The values of this moment, and each few seconds a point of the chart."""
    rows, points = [], []
    for transition in transitions:
        alert = alerts[transition.alert or 0]
        value = transition.value or 0.0
        if is_time_for_a_point(alert, now):
            points.append(AlertPoint(alert_id=alert.pk, at=now, value=value))
        alert.value, alert.seen_at = value, now
        if alert.rule.spec.is_worse(value, alert.worst):
            alert.worst = value
        rows.append(alert)
    write_values(rows)
    AlertPoint.objects.bulk_create(points)


def write_values(alerts: Sequence[Alert]) -> None:
    """As bulk_update would, which takes a second for 2,000 alerts: too long for what is done every two."""
    table = connection.ops.quote_name(Alert._meta.db_table)
    moment = connection.ops.adapt_datetimefield_value
    rows = [(alert.value, alert.worst, moment(alert.seen_at), alert.pk) for alert in alerts]
    if rows:
        with connection.cursor() as cursor:
            sql = f"UPDATE {table} SET value = %s, worst = %s, seen_at = %s WHERE id = %s"  # noqa: S608
            cursor.executemany(sql, rows)


def is_time_for_a_point(alert: Alert, now: datetime) -> bool:
    step = POINT_SECONDS if now - alert.pending_at < FIRST else LATER_POINT_SECONDS
    return now.timestamp() // step != alert.seen_at.timestamp() // step


def fact_of(alert: Alert, word: str, actor: Actor, text: str) -> Fact:
    data = {
        "rule": alert.rule.key,
        "severity": alert.severity,
        "value": alert.value,
        "threshold": alert.threshold,
    }
    return Fact(f"alert.{word}", actor, text, "alert", alert.pk, alert.subject, data)


def note_rule(rule: Rule, *, subjects: int, problem: str) -> None:
    """How many subjects it had a value for, and what was wrong with it; written only when that is new."""
    if (rule.subjects, rule.problem) != (subjects, problem):
        Rule.objects.filter(pk=rule.pk).update(subjects=subjects, problem=problem)


def note_evaluation(*, at: datetime, took_ms: float) -> None:
    Evaluation.objects.update_or_create(pk=1, defaults={"at": at, "took_ms": took_ms})


@transaction.atomic
def end_all_of(rule: Rule, why: str, now: datetime) -> None:
    """A rule that isn't evaluated any more leaves nothing open behind."""
    pending = list(rule.alerts.filter(state=AlertState.PENDING).values_list("pk", flat=True))
    Alert.objects.filter(pk__in=pending).delete()
    firing = list(rule.alerts.firing().values_list("pk", flat=True))
    record_all([fact for pk in firing if (fact := end(pk, YARD, why, now)) is not None])
