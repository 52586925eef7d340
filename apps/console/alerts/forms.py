"""Rules as forms: text fields in, changes or a rule out."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from apps.alerts.actions.rules import BY_KEY
from apps.alerts.domain.metrics import METRICS
from apps.alerts.domain.rules import Comparison, RuleSpec
from apps.alerts.exceptions import AlertRefused
from apps.alerts.models import Rule
from apps.console.alerts.rows import SEVERITY_SIGNS

MOST_DIGITS = 20
THOUSANDS = re.compile(r"-?[1-9]\d{0,2}(,\d{3})+")  # with a decimal comma it would be a thousandth


@dataclass(frozen=True, slots=True)
class Line:
    rule: Rule
    sign: str
    tone: str
    data: str  # what it had values for at the last evaluation
    is_own: bool  # one of the yard's
    is_changed: bool  # and not as it came
    scopes: tuple[str, ...]


def rule_lines(rules: Iterable[Rule]) -> list[Line]:
    return [line_of(rule) for rule in rules]


def line_of(rule: Rule) -> Line:
    sign, tone = SEVERITY_SIGNS.get(rule.severity, ("●", "quiet"))
    own, metric = BY_KEY.get(rule.key), METRICS.get(rule.metric)
    return Line(
        rule=rule,
        sign=sign,
        tone=tone,
        data=data_of(rule),
        is_own=own is not None,
        is_changed=own is not None and rule.spec != own,
        scopes=metric.scopes if metric else (),
    )


def data_of(rule: Rule) -> str:
    if not rule.enabled:
        return "off"
    if rule.subjects:
        return f"{rule.subjects} watched" if rule.scope != "yard" else "watched"
    metric = METRICS.get(rule.metric)
    return "no data: nothing measures this yet" if metric and not metric.has_producer else "no data"


def number(post: Mapping[str, str], name: str) -> float:
    text, word = post.get(name, "").strip()[: MOST_DIGITS + 1], name.replace("_", " ")
    if THOUSANDS.fullmatch(text):
        raise AlertRefused(f"The {word} “{text}” may be two numbers: write it without a comma.")
    try:
        return float(text.replace(",", "."))
    except ValueError:
        raise AlertRefused(f"The {word} “{text}” is no number: write one as in 2.5 or 100.") from None


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


def rule_edits(post: Mapping[str, str]) -> dict[str, Any]:
    """Changes of a rule that exists. Its scope is asked for where there is a choice."""
    return rule_changes(post) | ({"scope": post["scope"]} if "scope" in post else {})


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
