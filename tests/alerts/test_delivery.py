"""What is told, to whom, and what becomes of it: retries, digests, silences, workers that die."""

from dataclasses import replace
from datetime import timedelta

import pytest
from rq.timeouts import JobTimeoutException

from apps.alerts import delivering
from apps.alerts.actions import deliver, destinations, operate
from apps.alerts.actions import rules as rule_actions
from apps.alerts.actions.deliver import (
    ATTEMPTS,
    FLOOD,
    GATHER,
    QUEUE_PATIENCE,
    back_off,
    give_out_due,
    plan_deliveries,
)
from apps.alerts.delivering import message_of
from apps.alerts.domain.rules import DEFAULTS
from apps.alerts.models import Alert, Delivery
from apps.alerts.sending import send
from apps.events.domain.actor import Actor, Role
from apps.events.models import Event
from apps.lib.queues import queue
from tests.alerts.webhooks import running
from tests.factories import make_alert, make_destination, make_rule, now

pytestmark = pytest.mark.django_db
OTTO = Actor("user", "otto", Role.OPERATOR)
ADA = Actor("user", "ada", Role.ADMIN)


@pytest.fixture
def hook(settings, queues):
    settings.ALERT_NETWORKS = ["127.0.0.1"]
    with running() as hook:
        yield hook


def make_alerts(key: str, count: int) -> None:
    """One for each of so many agents."""
    rule = make_rule(key)
    for pk in range(count):
        make_alert(rule=rule, subject_id=pk, subject=f"w1/agent-{pk:02d}")


def attempt(delivery: Delivery, at=None) -> Delivery:
    delivering.deliver(delivery.pk, lambda: at or now())
    delivery.refresh_from_db()
    return delivery


def test_an_alert_is_told_once_and_so_is_its_end(hook):
    make_destination(url=hook.url)
    alert = make_alert()

    for _ in range(3):
        plan_deliveries(now())
    attempt(Delivery.objects.get())
    operate.resolve(alert=alert, actor=OTTO, now=alert.fired_at + timedelta(seconds=90))
    for _ in range(3):
        plan_deliveries(now())
    attempt(Delivery.objects.latest("pk"))

    assert [(got["title"], got["message"]) for got in hook.got] == [
        ("[warning] Operations are slow", "Operations are slow: the yard, 150 ms where 100 ms is the limit"),
        ("[resolved] Operations are slow", "Operations are slow: the yard, over after 90 s"),
    ]
    assert {row.state for row in Delivery.objects.all()} == {"delivered"}


@pytest.mark.parametrize("what", ["acknowledged", "pending", "silenced"])
def test_what_nobody_needs_to_be_told_is_not_told(hook, what):
    make_destination(url=hook.url)
    alert = make_alert()
    if what == "silenced":
        operate.silence(alert=alert, seconds=3600, actor=OTTO, now=now())
    else:
        Alert.objects.update(state=what)

    plan_deliveries(now())

    assert not Delivery.objects.exists()


def test_when_a_silence_is_over_what_still_fires_is_told(hook):
    make_destination(url=hook.url)
    operate.silence(alert=make_alert(), seconds=60, actor=OTTO, now=now())

    plan_deliveries(now() + timedelta(seconds=59))
    assert not Delivery.objects.exists()
    plan_deliveries(now() + timedelta(seconds=61))

    assert Delivery.objects.count() == 1


def test_a_destination_is_told_from_its_severity_on_and_only_while_it_is_on():
    make_destination("all", least="info")
    make_destination("worst", least="critical")
    make_destination("off", least="info", enabled=False)
    make_alert("uneven")
    make_alert("very-slow")

    plan_deliveries(now())

    told = [(row.destination.name, row.alerts.get().severity) for row in Delivery.objects.order_by("pk")]
    assert sorted(told) == [("all", "critical"), ("all", "info"), ("worst", "critical")]


def test_an_end_is_told_only_to_who_wants_it_and_only_of_what_was_told():
    make_destination("both")
    make_destination("begin", tells_end=False)
    make_alert(state="resolved", resolved_at=now(), told_at=now())
    make_alert("errors", state="resolved", resolved_at=now())

    plan_deliveries(now())

    assert [row.destination.name for row in Delivery.objects.all()] == ["both"]


def test_many_alerts_within_a_minute_come_as_one_digest(hook):
    make_destination(url=hook.url)
    make_alerts("silent-agent", FLOOD)
    plan_deliveries(now())
    assert Delivery.objects.filter(is_digest=False).count() == FLOOD

    Alert.objects.update(state="acknowledged")
    make_alerts("agent-memory", 30)
    plan_deliveries(now())
    make_alert("very-slow")
    plan_deliveries(now())

    digest = Delivery.objects.get(is_digest=True)
    assert digest.alerts.count() == 31
    give_out_due(now())
    digest.refresh_from_db()
    assert digest.due_at < now() + GATHER + timedelta(seconds=5)  # it still gathers
    assert attempt(digest).state == "delivered"
    (got,) = hook.got
    assert got["title"] == "31 alerts: 31 critical"
    assert "and 11 more" in got["message"]


def test_a_failure_is_tried_again_later_and_later_and_then_told(hook, monkeypatch):
    monkeypatch.setattr(delivering, "send_apart", send)  # five starts of a process say no more
    hook.status = 500
    delivery = make_destination(url=hook.url).deliveries.create(created_at=now(), due_at=now())
    waits = []

    for _ in range(ATTEMPTS):
        at = now()
        attempt(delivery, at)
        if delivery.state == "waiting":
            waits.append((delivery.due_at - at).total_seconds())

    assert (delivery.state, delivery.attempts, hook.asked) == ("failed", ATTEMPTS, ATTEMPTS)
    assert waits == [back_off(number) for number in range(1, ATTEMPTS)] == [15, 60, 240, 960]
    assert "500" in delivery.problem
    assert "500" in Event.objects.get(kind="alert.undelivered").text


def test_a_private_address_is_refused_for_good(hook, settings):
    settings.ALERT_NETWORKS = []
    delivery = make_destination(url=hook.url).deliveries.create(created_at=now(), due_at=now())

    attempt(delivery)

    assert (delivery.state, delivery.attempts, hook.asked) == ("failed", 1, 0)
    assert "private address" in delivery.problem


def test_a_job_that_takes_too_long_is_a_failure_like_any_other(monkeypatch):
    def endless(*arguments, **options):
        raise JobTimeoutException("Task exceeded maximum timeout value (60 seconds)")

    monkeypatch.setattr(delivering, "send_apart", endless)
    delivery = make_destination().deliveries.create(created_at=now(), due_at=now())

    attempt(delivery)

    assert delivery.state == "waiting"
    assert "60 seconds" in delivery.problem


def test_two_jobs_of_one_delivery_send_it_once(hook):
    delivery = make_destination(url=hook.url).deliveries.create(created_at=now(), due_at=now())

    attempt(delivery)
    attempt(delivery)

    assert len(hook.got) == 1


def test_a_worker_that_died_is_noticed_and_what_it_left_is_tried_again(hook):
    delivery = make_destination(url=hook.url).deliveries.create(created_at=now(), due_at=now())
    at = now()
    late = deliver.claim(delivery.pk, at)

    give_out_due(at + QUEUE_PATIENCE - timedelta(seconds=1))
    delivery.refresh_from_db()
    assert delivery.state == "sending"
    give_out_due(at + QUEUE_PATIENCE)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.problem) == ("waiting", "the worker was lost while it was sent")

    attempt(delivery)
    deliver.fail(late, "too late: its attempt doesn't count any more", now())
    delivery.refresh_from_db()
    assert delivery.state == "delivered"


def give_out_at(times, capture) -> None:
    for at in times:
        with capture(execute=True):
            give_out_due(at)


def test_while_no_worker_runs_one_job_waits_for_each_delivery(hook, django_capture_on_commit_callbacks):
    destination = make_destination(url=hook.url)
    for _ in range(2):
        destination.deliveries.create(created_at=now(), due_at=now())
    at = now()

    give_out_at([at + n * QUEUE_PATIENCE for n in range(5)], django_capture_on_commit_callbacks)

    jobs = queue("io").jobs
    assert [job.func_name for job in jobs] == ["apps.alerts.jobs.deliver_job"] * 2
    assert {job.timeout for job in jobs} == {deliver.JOB_SECONDS}


def test_a_job_that_a_worker_took_and_lost_is_made_up_for_when_it_counts_as_lost(
    hook, django_capture_on_commit_callbacks
):
    delivery = make_destination(url=hook.url).deliveries.create(created_at=now(), due_at=now())
    at, jobs = now(), queue("io")
    give_out_at([at], django_capture_on_commit_callbacks)
    jobs.connection.lpop(
        jobs.key
    )  # its worker was killed before it began; what RQ keeps of the job is still there

    give_out_at([at + timedelta(seconds=2), at + timedelta(seconds=4)], django_capture_on_commit_callbacks)
    assert jobs.count == 0
    give_out_at([at + QUEUE_PATIENCE], django_capture_on_commit_callbacks)

    (job,) = jobs.jobs
    assert list(job.args) == [delivery.pk]


def test_a_test_message_says_that_it_is_one():
    delivery = make_destination().deliveries.create(created_at=now())

    title, body, severity = message_of(delivery, now())

    assert (title, severity) == ("[test] Swarmyard", "info")
    assert "test message" in body


def test_what_waits_for_a_destination_that_is_switched_off_is_not_told_any_more(hook):
    hook.status = 500
    destination = make_destination(url=hook.url)
    make_alert()
    plan_deliveries(now())
    delivery = attempt(Delivery.objects.get())
    assert delivery.state == "waiting"

    destinations.switch_destination(destination=destination, enabled=False, actor=ADA, now=now())
    hook.status = 200
    attempt(delivery)

    assert (delivery.state, delivery.problem) == ("failed", "its destination was switched off")
    assert hook.got == []


def test_an_alert_whose_rule_was_removed_meanwhile_is_not_told_as_a_test_message(hook):
    make_destination(url=hook.url)
    rule = rule_actions.make_rule(spec=replace(DEFAULTS[0], key="mine"), actor=OTTO, now=now())
    make_alert(rule=rule)
    plan_deliveries(now())
    test = make_destination("other", url=hook.url).deliveries.create(created_at=now(), due_at=now())
    waiting = Delivery.objects.exclude(pk=test.pk).get()

    rule_actions.remove_rule(rule=rule, actor=OTTO, now=now())
    delivering.deliver(waiting.pk, now)

    assert hook.got == []
    assert attempt(test).state == "delivered"
