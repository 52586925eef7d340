"""What people do to alerts, rules and destinations: each with its event, each by a role that may."""

from dataclasses import replace
from datetime import timedelta

import pytest

from apps.access.exceptions import NotAllowed
from apps.alerts.actions import destinations, operate, tidy
from apps.alerts.actions.rules import edit_rule, make_rule, remove_rule, reset_rule
from apps.alerts.actions.tidy import forget_old_alerts
from apps.alerts.domain.rules import DEFAULTS
from apps.alerts.exceptions import AlertRefused
from apps.alerts.models import Alert, Delivery, Destination, Rule, Silence
from apps.events.domain.actor import Actor, Role
from apps.events.models import Event
from tests.alerts.watching import kinds
from tests.factories import make_alert, make_destination, now
from tests.factories import make_rule as own_rule

pytestmark = pytest.mark.django_db
VERA = Actor("user", "vera", Role.VIEWER)
OTTO = Actor("user", "otto", Role.OPERATOR)
ADA = Actor("user", "ada", Role.ADMIN)
MINE = replace(DEFAULTS[0], key="mine", title="Mine", scope="agent")


def test_who_acknowledges_an_alert_owns_it():
    alert = operate.acknowledge(alert=make_alert(), actor=OTTO, now=now())

    assert (alert.state, alert.owner) == ("acknowledged", "otto")
    assert kinds() == ["alert.acknowledged"]
    with pytest.raises(AlertRefused, match="is acknowledged: only an alert that fires can be acknowledged"):
        operate.acknowledge(alert=alert, actor=ADA, now=now())
    assert Alert.objects.get().owner == "otto"


@pytest.mark.parametrize("state", ["firing", "acknowledged"])
def test_a_person_may_say_that_it_is_over(state):
    alert = operate.resolve(alert=make_alert(state=state), actor=OTTO, now=now())

    assert (alert.state, alert.resolved_why) == ("resolved", "resolved by otto")
    assert kinds() == ["alert.resolved"]
    with pytest.raises(AlertRefused, match="is resolved"):
        operate.resolve(alert=alert, actor=OTTO, now=now())


def test_a_silence_covers_its_rule_and_subject_alone():
    alert = make_alert("silent-agent", subject_id=3, subject="w1/agent-03")
    other = make_alert("silent-agent", subject_id=4, subject="w1/agent-04")
    at = now()

    row = operate.silence(alert=alert, seconds=3600, actor=OTTO, now=at)

    assert row.until == at + timedelta(hours=1)
    assert (row.covers(alert), row.covers(other)) == (True, False)
    assert Event.objects.get().kind == "alert.silenced"


def test_a_silence_of_a_rule_covers_all_that_it_is_about():
    alert = make_alert("silent-agent", subject_id=3, subject="w1/agent-03")

    row = operate.silence_rule(rule=alert.rule, seconds=3600, actor=OTTO, now=now())

    assert row.covers(alert)
    assert not row.covers(make_alert("slow"))


@pytest.mark.parametrize("seconds", [0, 59, -5, 31 * 86_400])
def test_a_silence_is_bounded(seconds):
    with pytest.raises(AlertRefused, match="from a minute to 30 days"):
        operate.silence(alert=make_alert(), seconds=seconds, actor=OTTO, now=now())


def test_a_silence_is_ended_once():
    row = operate.silence(alert=make_alert(), seconds=3600, actor=OTTO, now=now())

    operate.end_silence(silence=row, actor=OTTO, now=now())

    assert not Silence.objects.active(now()).exists()
    with pytest.raises(AlertRefused, match="over already"):
        operate.end_silence(silence=row, actor=OTTO, now=now())
    assert kinds() == ["alert.silenced", "alert.unsilenced"]


def test_a_rule_is_changed_with_an_event_that_says_how():
    rule = edit_rule(rule=own_rule(), threshold=250.0, resolve_threshold=200.0, actor=OTTO, now=now())

    assert (rule.threshold, rule.changed_by) == (250.0, "otto")
    event = Event.objects.get()
    assert "above 250 ms for 60 s" in event.text
    assert "above 100 ms" in event.data["before"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"threshold": 50.0}, "resolve threshold 90 lies above the threshold 50"),
        ({"threshold": float("nan")}, "must be a number"),
        ({"severity": "dire"}, "no severity"),
        ({"for_seconds": -1}, "from 0 to"),
        ({"title": " "}, "title has 1 to 120"),
        ({"title": "Slow\0"}, "title has 1 to 120"),
        ({"threshold": -1.0, "resolve_threshold": -2.0}, "must be a number from 0"),
        ({"for_seconds": 365 * 86_400}, "which is a day"),
        ({"scope": "planet"}, "there are none by “planet”"),
        ({"metric": "memory_used"}, "metric can't be changed"),
    ],
)
def test_a_bad_change_is_refused_and_changes_nothing(changes, said):
    rule = own_rule()

    with pytest.raises(AlertRefused, match=said):
        edit_rule(rule=rule, actor=OTTO, now=now(), **changes)

    assert Rule.objects.get(pk=rule.pk).spec == rule.spec
    assert not Event.objects.exists()


def test_another_scope_ends_what_is_open_since_it_is_about_something_else():
    alert = make_alert()

    rule = edit_rule(rule=alert.rule, scope="wave", actor=OTTO, now=now())

    assert rule.words.startswith("Latency p95 of a wave above 100 ms")
    assert Alert.objects.get().resolved_why == "its rule looks at something else now"
    assert kinds() == ["alert.resolved", "rule.changed"]


def test_a_rule_of_the_yard_is_reset():
    rule = own_rule("slow", threshold=5.0, metric="no metric any more", enabled=False, severity="dire")

    rule = reset_rule(rule=rule, actor=OTTO, now=now())

    assert rule.spec == DEFAULTS[0]
    assert kinds() == ["rule.changed"]
    reset_rule(rule=rule, actor=OTTO, now=now())
    assert kinds() == ["rule.changed"]
    with pytest.raises(AlertRefused, match="change it instead, or remove it"):
        reset_rule(rule=make_rule(spec=MINE, actor=OTTO, now=now()), actor=OTTO, now=now())


def test_a_rule_that_is_switched_off_leaves_nothing_open():
    alert = make_alert()
    make_alert("errors", state="pending", fired_at=None)

    edit_rule(rule=alert.rule, enabled=False, actor=OTTO, now=now())
    edit_rule(rule=own_rule("errors"), enabled=False, actor=OTTO, now=now())

    assert Alert.objects.get().resolved_why == "its rule is switched off"
    assert kinds() == ["alert.resolved", "rule.changed", "rule.changed"]


def test_a_change_that_changes_nothing_is_no_event():
    edit_rule(rule=own_rule(), threshold=100.0, actor=OTTO, now=now())

    assert not Event.objects.exists()


def test_rules_of_ones_own_are_made_and_removed():
    rule = make_rule(spec=MINE, actor=OTTO, now=now())
    with pytest.raises(AlertRefused, match="is a rule mine already"):
        make_rule(spec=MINE, actor=OTTO, now=now())

    remove_rule(rule=rule, actor=OTTO, now=now())

    assert kinds() == ["rule.made", "rule.removed"]
    with pytest.raises(AlertRefused, match="switch it off instead"):
        remove_rule(rule=own_rule("slow"), actor=OTTO, now=now())


@pytest.mark.parametrize(("key", "metric"), [("", "latency_p95"), ("A b", "latency_p95"), ("x", "happiness")])
def test_a_bad_rule_is_not_made(key, metric):
    with pytest.raises(AlertRefused):
        make_rule(spec=replace(MINE, key=key, metric=metric), actor=OTTO, now=now())


def test_a_viewer_changes_nothing():
    alert, destination = make_alert(), make_destination()
    silence = Silence.objects.create(
        rule=alert.rule, begun_by="ada", begun_at=now(), until=now() + timedelta(1)
    )
    when = {"actor": VERA, "now": now()}

    for deed in (
        lambda: operate.acknowledge(alert=alert, **when),
        lambda: operate.resolve(alert=alert, **when),
        lambda: operate.silence(alert=alert, seconds=60, **when),
        lambda: operate.silence_rule(rule=alert.rule, seconds=60, **when),
        lambda: operate.end_silence(silence=silence, **when),
        lambda: edit_rule(rule=alert.rule, threshold=1000.0, **when),
        lambda: make_rule(spec=MINE, **when),
        lambda: reset_rule(rule=alert.rule, **when),
        lambda: remove_rule(rule=alert.rule, **when),
        lambda: destinations.try_destination(destination=destination, **when),
    ):
        with pytest.raises(NotAllowed, match="the role operator is needed"):
            deed()
    assert not Event.objects.exists()


def test_destinations_are_for_admins():
    row = make_destination()
    when = {"actor": OTTO, "now": now()}

    for deed in (
        lambda: destinations.add_destination(
            name="x", url="json://a/b", least="info", tells_end=True, **when
        ),
        lambda: destinations.switch_destination(destination=row, enabled=False, actor=OTTO, now=now()),
        lambda: destinations.remove_destination(destination=row, actor=OTTO),
    ):
        with pytest.raises(NotAllowed, match="the role admin is needed"):
            deed()
    assert list(Destination.objects.values_list("name", "enabled")) == [("ops", True)]


def test_a_destination_s_address_is_in_no_event():
    row = destinations.add_destination(
        name="hook", url="jsons://example.org/very-secret", least="info", tells_end=True, actor=ADA, now=now()
    )
    destinations.try_destination(destination=row, actor=ADA, now=now())
    destinations.switch_destination(destination=row, enabled=False, actor=ADA, now=now())
    destinations.remove_destination(destination=row, actor=ADA)

    assert kinds() == [f"destination.{word}" for word in ("added", "tested", "switched", "removed")]
    assert "secret" not in "".join(
        f"{event.text}{event.data}{event.subject}" for event in Event.objects.all()
    )


@pytest.mark.parametrize(
    ("name", "url", "least", "said"),
    [
        ("", "jsons://example.org", "info", "name has 1 to 80"),
        ("x", "exec://rm", "info", "of this kind aren't allowed"),
        ("x", "slack://too-short", "info", "Apprise doesn't understand"),
        ("x", "jsons://example.org", "dire", "least severity is one of"),
        ("ops", "jsons://example.org", "info", "is a destination “ops” already"),
    ],
)
def test_a_bad_destination_is_refused(name, url, least, said):
    make_destination("ops")

    with pytest.raises(AlertRefused, match=said):
        destinations.add_destination(name=name, url=url, least=least, tells_end=True, actor=ADA, now=now())

    assert Destination.objects.count() == 1


def test_what_is_old_is_forgotten_and_what_is_open_never(settings):
    settings.EVENTS_KEPT_DAYS = 30
    old, recent = now() - timedelta(days=31), now() - timedelta(days=29)
    destination = make_destination()
    for at in (old, recent):
        alert = make_alert("errors", state="resolved", resolved_at=at)
        Silence.objects.create(rule=alert.rule, begun_by="ada", begun_at=at, until=at)
        destination.deliveries.create(created_at=at, done_at=at, state="failed")
    make_alert("slow", pending_at=old, fired_at=old)

    assert forget_old_alerts(now=now(), limit=10) == 1

    assert (Alert.objects.count(), Silence.objects.count(), Delivery.objects.count()) == (2, 1, 1)


def test_of_what_is_over_a_bounded_number_is_kept_the_newest(monkeypatch):
    monkeypatch.setattr(tidy, "MOST_KEPT", 3)
    rule, at = own_rule("errors"), now()
    for minutes in range(8):
        make_alert(rule=rule, state="resolved", resolved_at=at - timedelta(minutes=minutes))
    make_alert("slow", pending_at=at - timedelta(days=1))

    removed = [forget_old_alerts(now=at, limit=4) for _ in range(3)]

    assert removed == [4, 1, 0]
    kept = Alert.objects.filter(state="resolved").values_list("resolved_at", flat=True)
    assert min(kept) == at - timedelta(minutes=2)
    assert Alert.objects.filter(state="firing").count() == 1
