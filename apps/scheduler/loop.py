"""The scheduler's round: every app's due step, in turn. Each step is safe to repeat and to skip."""

import logging
from collections.abc import Callable
from datetime import datetime

from django.db import DatabaseError, InterfaceError, close_old_connections

from apps.alerts.evaluate import evaluate_alerts
from apps.builds.base_actions import keep_bases
from apps.builds.sizes import measure_build_directories
from apps.capacity import leases
from apps.scheduler.tidy import tidy
from apps.waves.advance import advance_open_waves
from apps.workspaces.cloning import resume_clones

log = logging.getLogger(__name__)

LEASE = "scheduler"
LEASE_SECONDS = 5.0
STEPS: tuple[Callable[[datetime], None], ...] = (
    advance_open_waves,
    resume_clones,
    keep_bases,
    evaluate_alerts,
    measure_build_directories,
    tidy,
)


def has_lease(holder: str, now: datetime) -> bool:
    if leases.holds(name=LEASE, holder=holder, now=now, seconds=LEASE_SECONDS / 2):
        return True
    return leases.acquire(name=LEASE, holder=holder, now=now, seconds=LEASE_SECONDS) is not None


def tick(now: datetime, *, holder: str, steps: tuple[Callable[[datetime], None], ...] = STEPS) -> bool:
    """Run all steps if `holder` has the lease; True if it has. One step that fails doesn't keep the others."""
    try:
        if not has_lease(holder, now):
            return False
    except (DatabaseError, InterfaceError):  # a connection that was dropped
        log.exception("the database refused; looking again in a moment")
        close_old_connections()
        return False
    for step in steps:
        try:
            step(now)
        except Exception:
            log.exception("%s failed; it is tried again at the next tick", step.__name__)
            close_old_connections()
    return True
