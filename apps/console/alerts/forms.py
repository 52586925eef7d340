"""Rules as forms: text fields in, changes or a rule out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from apps.alerts.actions.rules import DEFAULT_KEYS
from apps.alerts.domain.metrics import METRICS
from apps.alerts.domain.rules import Comparison, RuleSpec
from apps.alerts.exceptions import AlertRefused
from apps.alerts.models import Rule
from apps.console.alerts.rows import SEVERITY_SIGNS

MOST_DIGITS = 20


@dataclass(frozen=True, slots=True)
class Line:
    rule: Rule
    sign: str
    tone: str
    data: str  # what it had values for at the last evaluation
    is_own: bool  # one of the yard's


def rule_lines(rules: Iterable[Rule]) -> list[Line]:
    return [
        Line(rule, *SEVERITY_SIGNS[rule.severity], data_of(rule), rule.key in DEFAULT_KEYS) for rule in rules
    ]


def data_of(rule: Rule) -> str:
    if not rule.enabled:
        return "off"
    if rule.subjects:
        return f"{rule.subjects} watched" if rule.scope != "yard" else "watched"
    metric = METRICS.get(rule.metric)
    return "no data: nothing measures this yet" if metric and not metric.has_producer else "no data"


def number(post: Mapping[str, str], name: str) -> float:
    text = post.get(name, "").strip().replace(",", ".")
    try:
        return float(text[:MOST_DIGITS])
    except ValueError:
        raise AlertRefused(f"The {name.replace('_', ' ')} “{text[:MOST_DIGITS]}” is no number.") from None


def seconds(post: Mapping[str, str]) -> int:
    text = post.get("for_seconds", "").strip()
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise AlertRefused("The duration is a whole number of seconds.")
    return int(text)


def rule_changes(post: Mapping[str, str]) -> dict[str, Any]:
    return {
        "threshold": number(post, "threshold"),
        "resolve_threshold": number(post, "resolve_threshold"),
        "for_seconds": seconds(post),
        "severity": post.get("severity", ""),
    }


def spec_of(post: Mapping[str, str]) -> RuleSpec:
    metric, _, scope = post.get("metric", "").partition(" ")
    return RuleSpec(
        key=post.get("key", "").strip(),
        title=post.get("title", "").strip(),
        metric=metric,
        scope=scope,
        comparison=post.get("comparison", Comparison.ABOVE),
        **rule_changes(post),
    )
