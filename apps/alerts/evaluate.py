"""The scheduler's step: one look at the yard, every rule's answer to it, and what follows."""

import logging
import time
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta

from django.db import InterfaceError, OperationalError

from apps.alerts.actions import deliver, watch
from apps.alerts.actions.rules import SWITCHED_OFF
from apps.alerts.domain.evaluation import MOST_SUBJECTS, Readings, evaluate, left_out
from apps.alerts.domain.rules import DEFAULTS, check
from apps.alerts.models import Alert, Rule
from apps.alerts.queries import last_evaluation
from apps.alerts.readings import collect

log = logging.getLogger(__name__)

EVERY = timedelta(seconds=2)


def evaluate_alerts(now: datetime) -> None:
    """At most every two seconds. The time is written at the end: what fails each time is seen to stand still."""
    last = last_evaluation()
    if last is not None and timedelta(0) <= now - last < EVERY:
        return
    started = time.monotonic()
    evaluate_rules(collect(now), now)
    deliver.plan_deliveries(now)
    deliver.give_out_due(now)
    watch.note_evaluation(at=now, took_ms=(time.monotonic() - started) * 1000)


def evaluate_rules(readings: Readings, now: datetime) -> None:
    """One rule that fails doesn't keep the others: it says on its page what is wrong with it."""
    rules = list(Rule.objects.order_by("pk"))
    if not {rule.key for rule in DEFAULTS} <= {rule.key for rule in rules}:
        watch.ensure_rules([rule.key for rule in rules])
        rules = list(Rule.objects.order_by("pk"))
    alerts: dict[int, dict[int, Alert]] = defaultdict(dict)
    for alert in Alert.objects.open().select_related("rule"):
        alerts[alert.rule_id][alert.pk] = alert
    for rule in rules:
        if rule.enabled:
            subjects, problem = try_rule(rule, readings, alerts[rule.pk], now)
            watch.note_rule(rule, subjects=subjects, problem=problem)
        elif alerts[rule.pk]:  # it was switched off in the middle of the last round
            watch.end_all_of(rule, SWITCHED_OFF, now)


def try_rule(rule: Rule, readings: Readings, alerts: Mapping[int, Alert], now: datetime) -> tuple[int, str]:
    """For how many subjects it had a value, and what is wrong with it, "" for nothing."""
    try:
        return evaluate_rule(rule, readings, alerts, now)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:
        problem = f"It can't be evaluated: {error}"[:300]
        if problem != rule.problem:  # and not every two seconds
            log.exception("rule %s can't be evaluated", rule.key)
        return rule.subjects, problem


def evaluate_rule(
    rule: Rule, readings: Readings, alerts: Mapping[int, Alert], now: datetime
) -> tuple[int, str]:
    spec = rule.spec
    check(spec)
    values = readings.of(spec)
    open_alerts = {alert.as_subject: alert.as_open for alert in alerts.values()}
    transitions = evaluate(spec, values, open_alerts, now)
    if transitions:
        watch.apply(rule, transitions, alerts, now)
    more = left_out(spec, values, open_alerts)
    problem = f"It holds for {more} more than the {MOST_SUBJECTS} that get an alert." if more else ""
    return len(values), problem
