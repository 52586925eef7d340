"""Telling the world outside: deliveries are planned with the evaluation, given out to workers, tried again, and end as
rows that say what became of them."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count, F, QuerySet

from apps.alerts.models import Alert, AlertState, Delivery, DeliveryState, Destination, Silence
from apps.alerts.queries import silenced
from apps.events.actions import Fact, record
from apps.events.domain.actor import YARD
from apps.events.hints import publish_on_commit
from apps.lib.queues import enqueue

FLOOD = 5  # messages a minute to one destination; what is more goes into one digest
MINUTE = timedelta(minutes=1)
GATHER = timedelta(seconds=30)  # for which a digest waits for more
QUEUE_PATIENCE = timedelta(minutes=2)  # that a job may wait in its queue, or take, before it counts as lost
JOB_SECONDS = 60
ATTEMPTS = 5
FIRST_BACK_OFF = 15.0  # seconds; each further one is four times as long
TOLD_WITHIN = timedelta(hours=1)  # an end that is older isn't told any more
AT_ONCE = 100


@transaction.atomic
def plan_deliveries(now: datetime) -> None:
    """For alerts that nobody was told of yet. Silenced ones wait: when their silence is over and they still fire, they
    are told then; acknowledged ones are known already."""
    fired = to_tell(now)
    ended = list(
        Alert.objects.filter(
            state=AlertState.RESOLVED,
            resolved_at__gt=now - TOLD_WITHIN,
            told_at__isnull=False,
            over_told_at=None,
        )
    )
    if not fired and not ended:
        return
    for destination in Destination.objects.filter(enabled=True):
        told = [alert for alert in fired if destination.wants(alert.severity)]
        told += [alert for alert in ended if destination.tells_end and destination.wants(alert.severity)]
        if told:
            plan_for(destination, told, now)
    Alert.objects.filter(pk__in=[alert.pk for alert in fired]).update(told_at=now)
    Alert.objects.filter(pk__in=[alert.pk for alert in ended]).update(over_told_at=now)


def to_tell(now: datetime) -> list[Alert]:
    rows = list(Alert.objects.filter(state=AlertState.FIRING, told_at=None).order_by("pk"))
    quiet = silenced(rows, Silence.objects.active(now)) if rows else {}
    return [alert for alert in rows if alert.pk not in quiet]


def plan_for(destination: Destination, alerts: Sequence[Alert], now: datetime) -> None:
    rows = destination.deliveries
    digest = rows.filter(is_digest=True, state=DeliveryState.WAITING, attempts=0, due_at__gt=now).first()
    recent = rows.filter(is_digest=False, created_at__gt=now - MINUTE).aggregate(count=Count("alerts"))[
        "count"
    ]
    if digest is None and recent + len(alerts) > FLOOD:
        digest = rows.create(is_digest=True, due_at=now + GATHER, created_at=now)
    if digest is not None:
        digest.alerts.add(*alerts)
        return
    for alert in alerts:
        delivery = rows.create(due_at=now, created_at=now)
        delivery.alerts.add(alert)


def give_out_due(now: datetime) -> None:
    """Jobs for what is due; what was given out and not done in time is given out again."""
    lost = Delivery.objects.filter(state=DeliveryState.SENDING, due_at__lte=now)
    for delivery in lost[:AT_ONCE]:
        fail(delivery, "the worker was lost while it was sent", now)
    due = Delivery.objects.filter(state=DeliveryState.WAITING, due_at__lte=now).order_by("due_at")
    deliveries = list(due[:AT_ONCE])
    if deliveries:
        with transaction.atomic():
            give_out(deliveries, now)


def give_out(deliveries: Iterable[Delivery], now: datetime) -> None:
    """Call inside a transaction. Until the job comes, or is taken for lost, it isn't due. While no worker runs, each
    has one job in the queue, however often it is given out."""
    for row in deliveries:
        Delivery.objects.filter(pk=row.pk, state=DeliveryState.WAITING).update(due_at=now + QUEUE_PATIENCE)
        name = f"deliver-{row.pk}-{row.attempts}"
        enqueue("io", "apps.alerts.jobs.deliver_job", row.pk, seconds=JOB_SECONDS, name=name)


def claim(pk: int, now: datetime) -> Delivery | None:
    """The delivery, for whoever sends it now; None when somebody else does, or did."""
    rows = Delivery.objects.filter(pk=pk, state=DeliveryState.WAITING)
    attempt = {"state": DeliveryState.SENDING, "attempts": F("attempts") + 1, "due_at": now + QUEUE_PATIENCE}
    if rows.update(**attempt) != 1:
        return None
    return Delivery.objects.select_related("destination").get(pk=pk)


@transaction.atomic
def succeed(delivery: Delivery, now: datetime) -> None:
    mine(delivery).update(state=DeliveryState.DELIVERED, due_at=None, done_at=now, problem="")
    publish_on_commit("alert", 0)


@transaction.atomic
def fail(delivery: Delivery, problem: str, now: datetime, *, for_good: bool = False) -> None:
    """To be tried again after a while, unless that is of no use or was done often enough."""
    problem = problem[:300]
    if not for_good and delivery.attempts < ATTEMPTS:
        mine(delivery).update(
            state=DeliveryState.WAITING,
            due_at=now + timedelta(seconds=back_off(delivery.attempts)),
            problem=problem,
        )
    elif mine(delivery).update(state=DeliveryState.FAILED, due_at=None, done_at=now, problem=problem):
        name = delivery.destination.name
        record(Fact("alert.undelivered", YARD, f"Nothing reached {name}: {problem}", "alert", 0, name))
    publish_on_commit("alert", 0)


def mine(delivery: Delivery) -> QuerySet[Delivery]:
    """The row, while this attempt is the one that counts."""
    return Delivery.objects.filter(state=DeliveryState.SENDING, pk=delivery.pk, attempts=delivery.attempts)


def back_off(attempts: int) -> float:
    """Seconds until the next attempt, after so many."""
    return FIRST_BACK_OFF * 4.0 ** (attempts - 1)
