"""What operators do to alerts."""

from datetime import datetime, timedelta

from django.db import transaction

from apps.access.roles import require
from apps.alerts.actions.watch import end, fact_of
from apps.alerts.exceptions import AlertRefused
from apps.alerts.models import FIRING_STATES, Alert, AlertState, Rule, Silence
from apps.events.actions import Fact, record
from apps.events.domain.actor import Actor, Role
from apps.lib.text import plain_text

LONGEST_SILENCE = timedelta(days=30)


@transaction.atomic
def acknowledge(*, alert: Alert, actor: Actor, now: datetime) -> Alert:
    """Somebody looks after it, and becomes its owner: it isn't told again."""
    require(actor, Role.OPERATOR, "acknowledge alerts")
    rows = Alert.objects.filter(pk=alert.pk, state=AlertState.FIRING)
    if rows.update(state=AlertState.ACKNOWLEDGED, acknowledged_at=now, owner=str(actor)[:150]) != 1:
        alert.refresh_from_db()
        raise AlertRefused(f"{alert} is {alert.state}: only an alert that fires can be acknowledged.")
    alert.refresh_from_db()
    record(fact_of(alert, "acknowledged", actor, f"{alert} acknowledged by {actor}"))
    return alert


@transaction.atomic
def resolve(*, alert: Alert, actor: Actor, now: datetime) -> Alert:
    """It is over, says a person. When the rule goes on to hold, another one begins."""
    require(actor, Role.OPERATOR, "resolve alerts")
    fact = end(alert.pk, actor, f"resolved by {actor}", now)
    alert.refresh_from_db()
    if fact is None:
        raise AlertRefused(f"{alert} is {alert.state}: only an alert that fires can be resolved.")
    record(fact)
    return alert


@transaction.atomic
def silence(*, alert: Alert, seconds: int, actor: Actor, now: datetime, reason: str = "") -> Silence:
    """Keep quiet about this rule and subject for a while, also when it is over and fires again."""
    require(actor, Role.OPERATOR, "silence alerts")
    if not Alert.objects.filter(pk=alert.pk, state__in=FIRING_STATES).exists():
        raise AlertRefused(f"{alert} doesn't fire any more: silence its rule instead.")
    row = begin_silence(alert.rule, alert.subject_id, alert.subject, seconds, reason, actor, now)
    record(fact_of(alert, "silenced", actor, f"{alert} silenced for {seconds / 3600:g} h by {actor}"))
    return row


@transaction.atomic
def silence_rule(*, rule: Rule, seconds: int, actor: Actor, now: datetime, reason: str = "") -> Silence:
    """Keep quiet about a rule, whatever it is about."""
    require(actor, Role.OPERATOR, "silence alerts")
    row = begin_silence(rule, None, "", seconds, reason, actor, now)
    record(
        Fact(
            "alert.rule_silenced",
            actor,
            f"Rule {rule.key} silenced for {seconds / 3600:g} h",
            subject=rule.key,
        )
    )
    return row


def begin_silence(
    rule: Rule, subject_id: int | None, subject: str, seconds: int, reason: str, actor: Actor, now: datetime
) -> Silence:
    if not 60 <= seconds <= LONGEST_SILENCE.total_seconds():
        raise AlertRefused(f"A silence lasts from a minute to {LONGEST_SILENCE.days} days.")
    return Silence.objects.create(
        rule=rule,
        subject_id=subject_id,
        subject=subject,
        reason=plain_text(reason, 200),
        begun_by=str(actor)[:150],
        begun_at=now,
        until=now + timedelta(seconds=seconds),
    )


@transaction.atomic
def end_silence(*, silence: Silence, actor: Actor, now: datetime) -> Silence:
    require(actor, Role.OPERATOR, "end silences")
    if Silence.objects.active(now).filter(pk=silence.pk).update(until=now) != 1:
        raise AlertRefused("This silence is over already.")
    silence.refresh_from_db()
    text = f"Silence of {silence.rule.title}: {silence.subject or 'everything'} ended by {actor}"
    covered = [alert.pk for alert in silence.rule.alerts.open() if silence.covers(alert)]
    record(Fact("alert.unsilenced", actor, text, "alert", covered[0] if covered else 0, silence.subject))
    return silence
