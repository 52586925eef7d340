"""Rules are data: bad ones are refused with what is wrong with them."""

from dataclasses import replace

import pytest

from apps.alerts.domain.cards import CARDS, steps_for
from apps.alerts.domain.metrics import METRICS
from apps.alerts.domain.rules import DEFAULTS, BadRule, check, in_words

BY_KEY = {rule.key: rule for rule in DEFAULTS}
SLOW = BY_KEY["slow"]


@pytest.mark.parametrize("rule", DEFAULTS, ids=lambda rule: rule.key)
def test_the_yards_own_rules_can_be_evaluated(rule):
    check(rule)


@pytest.mark.parametrize(
    ("key", "comparison", "threshold", "severity"),
    [
        ("slow", "above", 100, "warning"),
        ("very-slow", "above", 1000, "critical"),
        ("coordination", "above", 15, "warning"),
        ("uneven", "above", 0.3, "info"),
        ("agent-memory", "above", 90, "critical"),
        ("host-memory", "above", 90, "critical"),
        ("auto-resolution", "below", 80, "warning"),
        ("errors", "above", 5, "warning"),
    ],
)
def test_the_yards_own_rules_are_those_that_were_asked_for(key, comparison, threshold, severity):
    rule = BY_KEY[key]

    assert (rule.comparison, rule.threshold, rule.severity) == (comparison, threshold, severity)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"metric": "happiness"}, "There is no metric “happiness”"),
        ({"scope": "planet"}, "has values by yard, wave, host, agent; there are none by “planet”"),
        ({"comparison": ">"}, "“>” is no comparison: it is one of above, below"),
        ({"severity": "dire"}, "“dire” is no severity"),
        ({"threshold": float("nan")}, "threshold must be a number"),
        ({"threshold": float("inf")}, "threshold must be a number"),
        ({"resolve_threshold": float("-inf")}, "resolve threshold must be a number"),
        ({"threshold": -1.0}, "threshold must be a number from 0"),
        ({"resolve_threshold": -0.1}, "resolve threshold must be a number from 0"),
        ({"threshold": 1e13}, r"from 0 to 1e\+12"),
        ({"for_seconds": 365 * 86_400}, "from 0 to 86400 seconds, which is a day"),
        ({"for_seconds": -1}, "from 0 to 86400"),
        ({"for_seconds": 86_401}, "from 0 to 86400"),
        ({"resolve_threshold": 101.0}, "lies above the threshold 100.*Take 100 at most"),
    ],
)
def test_a_bad_rule_is_refused(changes, said):
    with pytest.raises(BadRule, match=said):
        check(replace(SLOW, **changes))


def test_the_resolve_threshold_of_a_rule_that_holds_below_lies_above():
    rule = BY_KEY["auto-resolution"]

    with pytest.raises(BadRule, match="lies below the threshold 80"):
        check(replace(rule, resolve_threshold=79.0))


def test_it_says_a_rule_in_words():
    assert (
        in_words(SLOW) == "Latency p95 of the yard above 100 ms for 60 s; over at 90 ms or less for as long"
    )
    at_once = replace(BY_KEY["lost-host"], for_seconds=0)
    assert in_words(at_once) == "Age of the heartbeat of a host above 10 s; over at 5 s or less"


def test_every_metric_has_a_rule_and_a_card_with_something_to_do():
    assert {rule.metric for rule in DEFAULTS} == set(METRICS) == set(CARDS)
    for metric in METRICS.values():
        for scope in metric.scopes:
            assert any(step.act for step in steps_for(metric.key, scope)), metric.key
