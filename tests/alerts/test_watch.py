"""The evaluation as the scheduler runs it: rows, events, one alert for each rule and subject, broken rules."""

from datetime import timedelta
from itertools import pairwise

import pytest
from django.db import IntegrityError, transaction

from apps.alerts.actions.watch import is_time_for_a_point
from apps.alerts.domain.evaluation import NO_DATA_LASTS
from apps.alerts.domain.rules import DEFAULTS
from apps.alerts.models import Alert, AlertPoint, Evaluation, Rule
from apps.alerts.queries import STALE, last_evaluation, watch_is_dead
from apps.events.models import Event
from apps.fleet.models import Agent, Host
from apps.waves.models import Wave
from tests.alerts.watching import START, kinds
from tests.factories import GB, MB, make_agent, make_host, make_member, make_wave


def test_it_fires_when_it_should_once_and_says_how_long_it_lasted(watch):
    watch.only("slow")

    watch.with_p95(150.0)
    assert Alert.objects.get().state == "pending"
    watch.with_p95(150.0, 58)
    assert Alert.objects.get().state == "pending"
    watch.with_p95(180.0)
    fired = Alert.objects.get()
    assert (fired.state, fired.value, fired.threshold, fired.subject) == ("firing", 180.0, 100.0, "the yard")
    for _ in range(5):
        watch.with_p95(160.0)
    watch.with_p95(50.0)
    watch.with_p95(50.0, 60)

    over = Alert.objects.get()
    assert (over.state, over.worst, over.resolved_why) == ("resolved", 180.0, "the value is back")
    assert over.lasted(watch.now) == 72.0
    assert kinds() == ["alert.pending", "alert.fired", "alert.resolved"]
    assert "over after 72 s" in Event.objects.get(kind="alert.resolved").text


def test_flapping_opens_no_new_alert(watch):
    alert = watch.fire()

    for value in (95.0, 150.0, 50.0, 150.0, 85.0, 101.0) * 10:
        watch.with_p95(value)

    assert Alert.objects.get().pk == alert.pk
    assert kinds() == ["alert.pending", "alert.fired"]


def test_what_is_back_before_its_time_leaves_an_event_and_no_alert(watch):
    watch.only("slow")

    watch.with_p95(150.0)
    watch.with_p95(80.0)

    assert not Alert.objects.exists()
    assert kinds() == ["alert.pending", "alert.dropped"]


def test_there_is_one_open_alert_for_each_rule_and_subject(watch):
    alert = watch.fire()
    fields = {name: getattr(alert, name) for name in ("scope", "subject_id", "subject", "severity", "state")}
    numbers = {"value": 1, "worst": 1, "threshold": 1, "pending_at": watch.now, "seen_at": watch.now}

    with pytest.raises(IntegrityError), transaction.atomic():
        Alert.objects.create(rule=alert.rule, **fields, **numbers)


@pytest.mark.parametrize("what", ["none", "few operations", "old", "to come", "no value"])
def test_without_data_nothing_fires_and_the_rule_says_so(watch, what):
    watch.only("slow")
    for _ in range(40):
        if what == "few operations":
            watch.figures(p95=500.0, operations=3)
        elif what == "old" and watch.now == START:
            watch.figures(p95=500.0)
            watch.now += timedelta(seconds=20)
        elif what == "to come" and watch.now == START:  # a clock was ahead, and nobody makes figures any more
            watch.now += timedelta(hours=1)
            watch.figures(p95=500.0)
            watch.now = START
        elif what == "no value":
            watch.figures(p95=None)
        watch.step()

    assert not Alert.objects.exists()
    assert Rule.objects.get(key="slow").subjects == 0


def test_a_rule_on_what_nobody_measures_has_no_data(watch):
    for _ in range(40):
        watch.figures(p95=50.0, coordination_efficiency=None)
        watch.step(10)

    states = {rule.key: (rule.subjects, rule.problem) for rule in Rule.objects.all()}
    assert states["coordination"] == states["auto-resolution"] == (0, "")
    assert states["slow"] == (1, "")
    assert not Alert.objects.filter(rule__key__in=("coordination", "auto-resolution")).exists()


def test_what_fires_is_given_up_after_a_while_without_data(watch):
    alert = watch.fire()

    watch.step(STALE.total_seconds() + 1)
    watch.step(NO_DATA_LASTS.total_seconds() - 30)
    assert Alert.objects.get().state == "firing"
    watch.step(30)

    alert.refresh_from_db()
    assert (alert.state, alert.resolved_why) == ("resolved", "no data any more")


@pytest.mark.parametrize(
    "broken", [{"metric": "happiness"}, {"resolve_threshold": 200.0}, {"comparison": ">"}]
)
def test_a_rule_that_fails_does_not_stop_the_others(watch, broken):
    Rule.objects.exclude(key__in=("slow", "errors")).update(enabled=False)
    Rule.objects.filter(key="errors").update(for_seconds=0)
    Rule.objects.filter(key="slow").update(**broken)

    watch.figures(errors=90)
    watch.step()

    assert Alert.objects.get().rule.key == "errors"
    assert "can't be evaluated" in Rule.objects.get(key="slow").problem
    assert last_evaluation() == watch.now


def test_a_broken_rule_is_told_to_the_log_once(watch, caplog):
    watch.only("slow", metric="happiness")

    for _ in range(3):
        watch.with_p95(50.0)

    assert caplog.text.count("rule slow can't be evaluated") == 1


def test_what_a_rule_left_open_when_it_was_switched_off_is_swept_away(watch):
    alert = watch.fire()
    Rule.objects.update(enabled=False)

    watch.step()

    alert.refresh_from_db()
    assert (alert.state, alert.resolved_why) == ("resolved", "its rule is switched off")


def test_a_rule_that_is_mended_has_no_problem_any_more(watch):
    watch.only("slow", metric="happiness")
    watch.with_p95(50.0)
    watch.only("slow", metric="latency_p95")

    watch.with_p95(50.0)

    assert Rule.objects.get(key="slow").problem == ""


def test_it_looks_at_agents_hosts_and_waves(watch):
    old = watch.now - timedelta(minutes=20)
    host = make_host("far", heartbeat_at=old)
    full = make_host("full", heartbeat_at=watch.now, memory_available=GB, disk_free=20 * GB)
    fat = make_agent(host=full, memory_bytes=380 * MB, memory_budget_mb=400, output_at=watch.now)
    silent = make_agent(host=full, output_at=old)
    make_agent(host=full, output_at=old, state="waiting")  # it waits for a person, and has said so
    make_agent(host=full, output_at=old, state="exited", memory_bytes=900 * MB)
    stuck = make_wave(step_at=old)
    make_member(stuck, host=full, state="ready", output_at=None)
    going = make_wave(step_at=watch.now + timedelta(seconds=60))
    make_member(going, host=full, state="ready")

    for _ in range(35):
        full.heartbeat_at = watch.now
        full.save(update_fields=["heartbeat_at"])
        watch.step()

    found = set(Alert.objects.filter(state="firing").values_list("rule__key", "subject_id"))
    assert found == {
        ("lost-host", host.pk),
        ("host-memory", full.pk),
        ("disk", full.pk),
        ("agent-memory", fat.pk),
        ("silent-agent", silent.pk),
        ("stuck-wave", stuck.pk),
    }


@pytest.mark.parametrize("key", ["stuck-wave", "silent-agent", "lost-host"])
def test_what_was_still_for_long_gets_a_moment_to_be_heard_of_again(watch, key):
    """A wave that was resumed, an agent that was paused, a machine that was asleep."""
    watch.only(key)
    long_ago = watch.now - timedelta(hours=1)
    host = make_host(heartbeat_at=long_ago)
    agent = make_agent(host=host, output_at=long_ago)
    make_member(make_wave(step_at=long_ago), host=host, state="ready")

    watch.step()
    Host.objects.update(heartbeat_at=watch.now)
    Agent.objects.filter(pk=agent.pk).update(output_at=watch.now)
    Wave.objects.update(step_at=watch.now)
    watch.step()

    assert kinds() == ["alert.pending", "alert.dropped"]


@pytest.mark.parametrize(
    ("metric", "figures", "value"),
    [
        ("latency_p95", {"p95": 180.0}, 180.0),
        ("latency_p99", {"p99": 1200.0}, 1200.0),
        ("error_rate", {"errors": 30}, 10.0),
        ("lock_wait", {"wait_pct": 25.0}, 25.0),
        ("distribution_variance", {"distribution_variance": 0.5}, 0.5),
        ("coordination_overhead", {"coordination_efficiency": 0.75}, 25.0),
    ],
)
@pytest.mark.parametrize("scope", ["wave", "host"])
def test_it_looks_at_each_wave_and_host_alone(watch, scope, metric, figures, value):
    subject = make_wave("w7") if scope == "wave" else make_host("far")
    make_wave("w8")
    make_wave("w6", state="done")
    watch.only("slow", metric=metric, scope=scope, threshold=0.2, resolve_threshold=0.1, for_seconds=0)

    groups = {"wave:w7": figures, "host:far": figures, "wave:w6": figures, "wave:other": figures}
    watch.figures(groups={**groups, "wave:w8": {**figures, "operations": 19}})
    watch.step()

    alert = Alert.objects.get()
    assert (alert.scope, alert.subject_id, alert.subject) == (scope, subject.pk, str(subject))
    assert alert.value == pytest.approx(value)
    assert Rule.objects.values_list("subjects", "problem").get(key="slow") == (1, "")


@pytest.mark.parametrize(
    ("key", "figures", "value"),
    [
        ("uneven", {"distribution_variance": 0.7}, 0.7),
        ("coordination", {"coordination_efficiency": 0.8}, 20.0),
        ("errors", {"errors": 60}, 10.0),
        ("lock-wait", {"wait_pct": 12.5}, 12.5),
        ("very-slow", {"p99": 1200.0}, 1200.0),
    ],
)
def test_it_looks_at_the_figures_of_the_yard(watch, key, figures, value):
    watch.only(key, for_seconds=0)

    watch.figures(**figures)
    watch.step()

    assert Alert.objects.get().value == pytest.approx(value)


def test_it_looks_no_more_often_than_each_two_seconds(watch, django_assert_num_queries):
    watch.step()

    with django_assert_num_queries(1):
        watch.step(1.0)
    assert last_evaluation() == watch.now - timedelta(seconds=1)


def test_it_asks_the_database_a_bounded_number_of_times(watch, django_assert_max_num_queries):
    Rule.objects.filter(key="silent-agent").update(threshold=5, resolve_threshold=5)
    for _ in range(60):
        make_agent(output_at=watch.now - timedelta(minutes=1))
    watch.figures()
    watch.step()
    assert Alert.objects.filter(rule__key="silent-agent").count() == 60
    make_host(heartbeat_at=watch.now)

    with django_assert_max_num_queries(30):
        watch.step()


def test_its_own_end_is_seen(watch):
    assert not watch_is_dead(START, last_evaluation())

    watch.step()

    assert not watch_is_dead(watch.now + STALE, last_evaluation())
    assert watch_is_dead(watch.now + STALE + timedelta(seconds=1), last_evaluation())


def test_an_evaluation_that_fails_each_time_stands_still(watch, monkeypatch):
    watch.step()
    before = last_evaluation()

    def broken(now):
        raise ValueError("unforeseen")

    monkeypatch.setattr("apps.alerts.evaluate.collect", broken)
    with pytest.raises(ValueError, match="unforeseen"):
        watch.step(30)

    assert last_evaluation() == before
    assert Evaluation.objects.count() == 1


def test_the_yards_own_rules_come_by_themselves_and_keep_what_people_made_of_them(watch):
    Rule.objects.exclude(key="slow").delete()
    Rule.objects.filter(key="slow").update(threshold=250)

    watch.step()

    assert set(Rule.objects.values_list("key", flat=True)) == {rule.key for rule in DEFAULTS}
    assert Rule.objects.get(key="slow").threshold == 250


def test_an_open_alert_keeps_points_for_its_chart_a_bounded_number(watch):
    alert = watch.fire()
    for _ in range(60):
        watch.with_p95(150.0)

    points = list(AlertPoint.objects.filter(alert=alert).order_by("at").values_list("at", flat=True))
    gaps = {(later - earlier).total_seconds() for earlier, later in pairwise(points)}
    assert points[0] == alert.pending_at
    assert min(gaps) >= 8
    alert.seen_at, alert.pending_at = watch.now, watch.now - timedelta(hours=2)
    assert not is_time_for_a_point(alert, watch.now + timedelta(seconds=10))
    assert is_time_for_a_point(alert, watch.now + timedelta(seconds=600))
