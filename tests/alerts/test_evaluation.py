"""Rules on values: pending, firing, over; without flapping, and never without data."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.alerts.domain.evaluation import (
    LEAST_CALM,
    MOST_SUBJECTS,
    NO_DATA_LASTS,
    Open,
    State,
    Subject,
    Verdict,
    evaluate,
    left_out,
)
from apps.alerts.domain.rules import Comparison, RuleSpec, Severity

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
YARD = Subject("yard", 0, "the yard")
AGENT = Subject("agent", 7, "w1/agent-07")


def rule(threshold=100.0, back=90.0, lasting=60, comparison=Comparison.ABOVE) -> RuleSpec:
    return RuleSpec(
        "slow", "Slow", "latency_p95", "yard", comparison, threshold, back, lasting, Severity.WARNING
    )


def opened(state=State.FIRING, *, pending=120.0, seen=2.0, calm=None) -> Open:
    """An open alert; ages in seconds."""
    at = {name: NOW - timedelta(seconds=age) for name, age in (("pending", pending), ("seen", seen))}
    calm_at = None if calm is None else NOW - timedelta(seconds=calm)
    return Open(5, state, at["pending"], at["seen"], calm_at)


def verdict_of(spec: RuleSpec, value: float | None, alert: Open | None) -> Verdict | None:
    values = {} if value is None else {YARD: value}
    found = evaluate(spec, values, {YARD: alert} if alert else {}, NOW)
    assert len(found) <= 1
    return found[0].verdict if found else None


@pytest.mark.parametrize(
    ("value", "alert", "verdict"),
    [
        (50, None, None),
        (100, None, None),  # the threshold itself isn't beyond it
        (101, None, Verdict.PENDING),
        (101, opened(State.PENDING, pending=59), Verdict.STAY),
        (101, opened(State.PENDING, pending=60), Verdict.FIRE),
        (99, opened(State.PENDING, pending=59), Verdict.DROP),
        (101, opened(), Verdict.STAY),
        (95, opened(), Verdict.STAY),  # between the two thresholds nothing changes
        (90, opened(), Verdict.CALM),
        (90, opened(calm=59), Verdict.STAY),
        (90, opened(calm=60), Verdict.RESOLVE),
        (95, opened(calm=60), Verdict.UNREST),
        (101, opened(calm=5), Verdict.UNREST),
        (90, opened(State.ACKNOWLEDGED, calm=60), Verdict.RESOLVE),
    ],
)
def test_it_follows_the_value(value, alert, verdict):
    assert verdict_of(rule(), value, alert) == verdict


def test_a_rule_without_a_duration_fires_at_once_and_still_waits_for_calm():
    spec = rule(lasting=0)

    assert verdict_of(spec, 101, None) == Verdict.FIRE
    assert verdict_of(spec, 80, opened(calm=LEAST_CALM.total_seconds() - 1)) == Verdict.STAY
    assert verdict_of(spec, 80, opened(calm=LEAST_CALM.total_seconds())) == Verdict.RESOLVE


def test_a_rule_may_hold_below_its_threshold():
    spec = rule(threshold=80, back=85, comparison=Comparison.BELOW)

    assert verdict_of(spec, 79, None) == Verdict.PENDING
    assert verdict_of(spec, 82, opened()) == Verdict.STAY
    assert verdict_of(spec, 86, opened()) == Verdict.CALM


def test_without_data_nothing_begins_and_what_fires_waits_a_while():
    assert verdict_of(rule(), None, None) is None
    assert verdict_of(rule(), None, opened(State.PENDING, pending=100)) == Verdict.DROP
    assert verdict_of(rule(), None, opened(seen=NO_DATA_LASTS.total_seconds() - 1)) == Verdict.STAY
    assert verdict_of(rule(), None, opened(seen=NO_DATA_LASTS.total_seconds())) == Verdict.RESOLVE


def test_each_subject_has_its_own_alert():
    found = evaluate(rule(lasting=0), {YARD: 200, AGENT: 300}, {YARD: opened()}, NOW)

    assert {(one.subject, one.verdict) for one in found} == {(YARD, Verdict.STAY), (AGENT, Verdict.FIRE)}


def test_a_subject_stays_the_same_under_another_name():
    renamed = Subject("agent", 7, "new name")

    found = evaluate(rule(), {renamed: 200}, {AGENT: opened()}, NOW)

    assert [one.verdict for one in found] == [Verdict.STAY]


def test_when_everything_is_ill_the_worst_get_an_alert_and_the_rest_is_counted():
    values = {Subject("agent", pk, f"agent-{pk}"): 101.0 + pk for pk in range(MOST_SUBJECTS + 30)}

    found = evaluate(rule(), values, {}, NOW)

    assert len(found) == MOST_SUBJECTS
    assert min(one.subject.pk for one in found) == 30
    assert left_out(rule(), values, {}) == 30


@given(st.lists(st.floats(91, 1000), min_size=1, max_size=80))
def test_a_value_that_swings_around_the_threshold_is_one_alert(values):
    """Whatever it does above the resolve threshold, an alert that fires neither ends nor gives way to another."""
    alert, now = opened(), NOW
    for value in values:
        (found,) = evaluate(rule(), {YARD: value}, {YARD: alert}, now)

        assert found.verdict in (Verdict.STAY, Verdict.UNREST)
        now += timedelta(seconds=2)


@given(st.lists(st.one_of(st.none(), st.floats(0, 200)), max_size=120), st.sampled_from([0, 4, 60]))
def test_it_never_fires_before_its_time(values, lasting):
    """Played through as the scheduler does, each two seconds: what fires was beyond the threshold all the time."""
    spec, alert, now = rule(lasting=lasting), None, NOW
    beyond_since = None
    for value in values:
        is_beyond = value is not None and spec.is_beyond(value)
        beyond_since = (beyond_since or now) if is_beyond else None
        found = evaluate(spec, {} if value is None else {YARD: value}, {YARD: alert} if alert else {}, now)
        verdict = found[0].verdict if found else None
        if verdict == Verdict.FIRE:
            assert beyond_since is not None
            assert (now - beyond_since).total_seconds() >= lasting
        alert = after(alert, verdict, value, now)
        now += timedelta(seconds=2)


def after(alert, verdict, value, now):
    """The alert as the actions leave it."""
    if verdict in (Verdict.DROP, Verdict.RESOLVE):
        return None
    if verdict in (Verdict.PENDING, Verdict.FIRE) and alert is None:
        return Open(1, State.PENDING if verdict == Verdict.PENDING else State.FIRING, now, now)
    if alert is None:
        return None
    state = State.FIRING if verdict == Verdict.FIRE else alert.state
    calm = {Verdict.CALM: now, Verdict.UNREST: None}.get(verdict, alert.calm_at)
    return Open(1, state, alert.pending_at, now if value is not None else alert.seen_at, calm)
