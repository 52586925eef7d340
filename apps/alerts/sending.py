"""Sending one message by Apprise. The only place that knows it; importing it takes 150 ms, so it is done late."""

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from apps.alerts.domain.addresses import BadAddress, Network, scheme_of
from apps.alerts.guard import public_only
from apps.lib.text import plain_text

CONNECT_SECONDS = 5.0
READ_SECONDS = 10.0
TYPES = {"info": "info", "warning": "warning", "critical": "failure"}
ADDRESSES = re.compile(r"\S+://\S+")


class NotSent(Exception):
    """The other side couldn't be reached or refused; the message says why. Trying again may help."""


def open_service(url: str) -> Any:
    """What Apprise makes of the address. Raises BadAddress."""
    from apprise import Apprise, AppriseAsset, PersistentStoreMode

    scheme_of(url)
    asset = AppriseAsset(
        app_id="Swarmyard", app_desc="Swarmyard", app_url="", storage_mode=PersistentStoreMode.MEMORY
    )
    service = Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
    if service is None:
        raise BadAddress(
            "Apprise doesn't understand this address: something is missing in it, or is not as it should be."
        )
    # Whatever the address itself says: no redirect is followed, and nobody holds a worker for long.
    service.redirects = False
    service.socket_connect_timeout = CONNECT_SECONDS
    service.socket_read_timeout = READ_SECONDS
    return service


def check_address(url: str) -> str:
    """Raises BadAddress. Returns the scheme."""
    open_service(url)
    return scheme_of(url)


def send(url: str, *, title: str, body: str, severity: str, allowed: Sequence[Network]) -> None:
    """Raises BadAddress, PrivateAddress or NotSent."""
    service = open_service(url)
    with public_only(allowed), said_by_apprise() as said:
        sent = service.notify(title=title, body=body, notify_type=notify_type(severity))
    if not sent:
        raise NotSent(
            ADDRESSES.sub("…", plain_text(" ".join(said), 250)) or "it wasn't taken, and nothing says why"
        )


def notify_type(severity: str) -> Any:
    from apprise import NotifyType

    return NotifyType(TYPES.get(severity, "info"))


@contextmanager
def said_by_apprise() -> Iterator[list[str]]:
    """What it tells of failures: it returns no more than that there was one."""
    said: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    handler, logger = Keep(logging.WARNING), logging.getLogger("apprise")
    logger.addHandler(handler)
    try:
        yield said
    finally:
        logger.removeHandler(handler)
