"""Once an hour: remove what is over and would be kept for ever, a bounded number of each at a time."""

import logging
from collections.abc import Callable
from datetime import datetime

from apps.access.actions import forget_expired_links, forget_expired_sessions
from apps.alerts.actions.tidy import forget_old_alerts
from apps.builds.actions import forget_old_builds
from apps.capacity import leases
from apps.events.actions import forget_old_events
from apps.fleet.actions.tidy import remove_old_runs

log = logging.getLogger(__name__)

LEASE = "tidy"  # that nobody has it means that it is time
EVERY_SECONDS = 3600.0
SOON_SECONDS = 10.0  # when there was more than is removed at a time
AT_A_TIME = 1000  # rows: the database is locked for others meanwhile
RUNS_AT_A_TIME = 100

Part = Callable[[datetime], bool]  # True when there may be more


def tidy(now: datetime) -> None:
    if leases.is_held(name=LEASE, now=now):
        return
    leases.acquire(name=LEASE, holder=LEASE, now=now, seconds=EVERY_SECONDS)
    more = [try_part(part, now) for part in PARTS]
    if any(more):
        leases.acquire(name=LEASE, holder=LEASE, now=now, seconds=SOON_SECONDS)


def try_part(part: Part, now: datetime) -> bool:
    """One that fails doesn't keep the others; it is tried again in an hour."""
    try:
        return part(now)
    except Exception:
        log.exception("%s failed", part.__name__)
        return False


def old_events(now: datetime) -> bool:
    return forget_old_events(now=now, limit=AT_A_TIME) == AT_A_TIME


def old_alerts(now: datetime) -> bool:
    return forget_old_alerts(now=now, limit=AT_A_TIME) == AT_A_TIME


def old_builds(now: datetime) -> bool:
    return forget_old_builds(now=now, limit=AT_A_TIME) == AT_A_TIME


def old_runs(now: datetime) -> bool:
    return remove_old_runs(limit=RUNS_AT_A_TIME) == RUNS_AT_A_TIME


def sign_in_links(now: datetime) -> bool:
    return forget_expired_links(now=now, limit=AT_A_TIME) == AT_A_TIME


def sessions(now: datetime) -> bool:
    return forget_expired_sessions(now=now, limit=AT_A_TIME) == AT_A_TIME


PARTS: tuple[Part, ...] = (old_events, old_alerts, old_builds, old_runs, sign_in_links, sessions)
