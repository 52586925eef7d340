"""Changing rules. A rule that can't be evaluated is refused here, with what is wrong with it."""

import re
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.db import transaction

from apps.access.roles import require
from apps.alerts.actions.watch import end_all_of, fields_of
from apps.alerts.domain.rules import DEFAULTS, BadRule, RuleSpec, check, in_words
from apps.alerts.exceptions import AlertRefused
from apps.alerts.models import Delivery, DeliveryState, Rule
from apps.events.actions import Fact, record
from apps.events.domain.actor import Actor, Role

MOST_RULES = 200
SWITCHED_OFF = "its rule is switched off"
KEY = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")
CHANGEABLE = ("title", "scope", "threshold", "resolve_threshold", "for_seconds", "severity", "enabled")
BY_KEY = {rule.key: rule for rule in DEFAULTS}
SCOPE_CHANGED = "its rule looks at something else now"


@transaction.atomic
def edit_rule(*, rule: Rule, actor: Actor, now: datetime, **changes: Any) -> Rule:
    """`changes`: some of CHANGEABLE. Alerts of a rule that is switched off are over."""
    require(actor, Role.OPERATOR, "change rules")
    if unknown := set(changes) - set(CHANGEABLE):
        raise AlertRefused(f"A rule's {', '.join(sorted(unknown))} can't be changed: make another rule.")
    before = Rule.objects.select_for_update().get(pk=rule.pk).spec
    return change(rule, before, replace(before, **changes), actor, now)


@transaction.atomic
def reset_rule(*, rule: Rule, actor: Actor, now: datetime) -> Rule:
    """One of the yard's own, as it was before anybody changed it."""
    require(actor, Role.OPERATOR, "reset rules")
    if rule.key not in BY_KEY:
        raise AlertRefused(f"{rule.key} is no rule of the yard's own: change it instead, or remove it.")
    before = Rule.objects.select_for_update().get(pk=rule.pk).spec
    return change(rule, before, BY_KEY[rule.key], actor, now)


def change(rule: Rule, before: RuleSpec, after: RuleSpec, actor: Actor, now: datetime) -> Rule:
    refuse_bad(after)
    if after == before:
        return rule
    news = {"problem": "", "changed_by": str(actor)[:150], "changed_at": now}
    Rule.objects.filter(pk=rule.pk).update(**fields_of(after), **news)
    rule.refresh_from_db()
    if before.enabled and not after.enabled:
        end_all_of(rule, SWITCHED_OFF, now)
    elif (before.metric, before.scope, before.comparison) != (after.metric, after.scope, after.comparison):
        end_all_of(rule, SCOPE_CHANGED, now)
    data = {"before": in_words(before)}
    record(Fact("rule.changed", actor, text_of(before, after), subject=rule.key, data=data))
    return rule


@transaction.atomic
def make_rule(*, spec: RuleSpec, actor: Actor, now: datetime) -> Rule:
    require(actor, Role.OPERATOR, "make rules")
    refuse_bad(spec)
    if not KEY.fullmatch(spec.key):
        raise AlertRefused("A rule's key has 1 to 60 small letters, digits and dashes, as in slow-agent.")
    if Rule.objects.filter(key=spec.key).exists():
        raise AlertRefused(f"There is a rule {spec.key} already: change that one, or take another key.")
    if Rule.objects.count() >= MOST_RULES:
        raise AlertRefused(f"There are {MOST_RULES} rules already: remove one first.")
    rule = Rule.objects.create(**fields_of(spec), changed_by=str(actor)[:150], changed_at=now)
    record(Fact("rule.made", actor, f"Rule {rule.key}: {rule.words}", subject=rule.key))
    return rule


@transaction.atomic
def remove_rule(*, rule: Rule, actor: Actor, now: datetime) -> None:
    """With its alerts. The yard's own stay: they can be switched off."""
    require(actor, Role.OPERATOR, "remove rules")
    if rule.key in BY_KEY:
        raise AlertRefused(f"{rule.key} is one of the yard's own rules: switch it off instead.")
    record(Fact("rule.removed", actor, f"Rule {rule.key} removed: {rule.words}", subject=rule.key))
    untold = [row.pk for row in Delivery.objects.filter(state=DeliveryState.WAITING, alerts__rule=rule)]
    rule.delete()
    Delivery.objects.filter(pk__in=untold, alerts=None).delete()  # a message about nothing is a test message


def refuse_bad(spec: RuleSpec) -> None:
    if not spec.title.strip() or len(spec.title) > 120 or not spec.title.isprintable():
        raise AlertRefused("A rule's title has 1 to 120 characters on one line.")
    try:
        check(spec)
    except BadRule as error:
        raise AlertRefused(str(error)) from error


def text_of(before: RuleSpec, after: RuleSpec) -> str:
    if before.enabled != after.enabled:
        return f"Rule {after.key} switched {'on' if after.enabled else 'off'}"
    return f"Rule {after.key} is now {after.severity}: {in_words(after)}"
