"""Where alerts go. Admins alone: an address is a secret, and sends what the yard knows elsewhere."""

from datetime import datetime

from django.conf import settings
from django.db import transaction

from apps.access.roles import require
from apps.alerts.actions.deliver import give_out
from apps.alerts.domain.addresses import BadAddress, scheme_of
from apps.alerts.domain.rules import Severity
from apps.alerts.exceptions import AlertRefused
from apps.alerts.models import Delivery, DeliveryState, Destination
from apps.alerts.sending import check_address
from apps.events.actions import Fact, record
from apps.events.domain.actor import Actor, Role
from apps.lib.questions import Ask, here

MOST_DESTINATIONS = 50
SWITCHED_OFF = "its destination was switched off"


def add_destination(
    *, name: str, url: str, least: str, tells_end: bool, actor: Actor, now: datetime, ask: Ask = here
) -> Destination:
    """`ask` lets a worker look whether Apprise understands the address; it may raise NoAnswer."""
    require(actor, Role.ADMIN, "add destinations")
    name, url = name.strip(), url.strip()
    refuse_bad(name, url, least)
    ask(f"host.{settings.HOST_NAME}", understood, url, refusals=(AlertRefused,))
    with transaction.atomic():
        if Destination.objects.filter(name=name).exists():
            raise AlertRefused(f"There is a destination “{name}” already.")
        destination = Destination.objects.create(
            name=name, url=url, least=least, tells_end=tells_end, created_by=str(actor)[:150], created_at=now
        )
        text = f"Alerts from {least} up go to {name} ({scheme_of(url)})"
        record(Fact("destination.added", actor, text, subject=name))
    return destination


def refuse_bad(name: str, url: str, least: str) -> None:
    if not 1 <= len(name) <= 80 or not name.isprintable():
        raise AlertRefused("A destination's name has 1 to 80 characters on one line.")
    if least not in list(Severity):
        raise AlertRefused(f"The least severity is one of {', '.join(Severity)}.")
    if Destination.objects.count() >= MOST_DESTINATIONS:
        raise AlertRefused(f"There are {MOST_DESTINATIONS} destinations already: remove one first.")
    try:
        scheme_of(url)
    except BadAddress as error:
        raise AlertRefused(str(error)) from error


def understood(url: str) -> str:
    """The scheme of an address that Apprise understands. A worker's work: Apprise takes its time to load."""
    try:
        return check_address(url)
    except BadAddress as error:
        raise AlertRefused(str(error)) from error


@transaction.atomic
def switch_destination(
    *, destination: Destination, enabled: bool, actor: Actor, now: datetime
) -> Destination:
    """What still waits to be told to one that is switched off isn't told any more."""
    require(actor, Role.ADMIN, "switch destinations")
    if Destination.objects.filter(pk=destination.pk, enabled=not enabled).update(enabled=enabled):
        word = "on" if enabled else "off"
        if not enabled:
            waiting = destination.deliveries.filter(state=DeliveryState.WAITING)
            waiting.update(state=DeliveryState.FAILED, due_at=None, done_at=now, problem=SWITCHED_OFF)
        record(
            Fact(
                "destination.switched", actor, f"{destination.name} switched {word}", subject=destination.name
            )
        )
    destination.refresh_from_db()
    return destination


@transaction.atomic
def remove_destination(*, destination: Destination, actor: Actor) -> None:
    require(actor, Role.ADMIN, "remove destinations")
    record(Fact("destination.removed", actor, f"{destination.name} removed", subject=destination.name))
    destination.delete()


@transaction.atomic
def try_destination(*, destination: Destination, actor: Actor, now: datetime) -> Delivery:
    """Send it a message without an alert."""
    require(actor, Role.OPERATOR, "test destinations")
    delivery = Delivery.objects.create(destination=destination, due_at=now, created_at=now)
    record(Fact("destination.tested", actor, f"Test message to {destination.name}", subject=destination.name))
    give_out([delivery], now)
    return delivery
