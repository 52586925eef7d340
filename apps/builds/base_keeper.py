"""The part of the host process that keeps its host's bases: looks where their target branches stand, and builds those
that are due.

A base's row is what is queued: there is no job that could be lost. It isn't work for the queues' workers, as a build of
minutes would hold up what else they do, and one more of them would weigh 70 MB for ever. Builds end with this process.
"""

import logging
import threading
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from django.db import DatabaseError, InterfaceError, close_old_connections
from django.utils import timezone

from apps.builds.base_actions import want, watched
from apps.builds.base_builder import build_base
from apps.builds.models import Base, BaseState
from apps.fleet.models import Host
from apps.workspaces import git
from apps.workspaces.exceptions import GitFailed

log = logging.getLogger(__name__)

TURN_SECONDS = 1.0
LOOK_SECONDS = 20.0  # between two looks at the branches


def start(host: Host, stop: threading.Event) -> None:
    threading.Thread(target=keep, args=(host, stop), name="builds bases", daemon=True).start()


def keep(host: Host, stop: threading.Event) -> None:
    looked_at = -LOOK_SECONDS
    while not stop.wait(TURN_SECONDS):
        try:
            if time.monotonic() - looked_at >= LOOK_SECONDS:
                looked_at = time.monotonic()
                look_at_targets(host, timezone.now())
            build_next(host)
        except (DatabaseError, InterfaceError, OSError) as error:
            log.warning("bases are looked at later: %s", error)
            with suppress(Exception):
                close_old_connections()


def build_next(host: Host) -> bool:
    """One that is queued, the oldest first. False when there is none."""
    queued = Base.objects.filter(host=host, state=BaseState.QUEUED).select_related("repository", "host")
    base = queued.order_by("state_at", "pk").first()
    return base is not None and build_base(base)


def look_at_targets(host: Host, now: datetime) -> None:
    """No look where no agents are, nor were lately."""
    for base in watched(host, now):
        try:
            commit = git.commit_of(Path(base.repository.path), f"refs/heads/{base.repository.target}")
        except GitFailed as error:
            log.warning("the target of %s can't be looked at: %s", base.repository.name, error)
            continue
        if commit:
            want(base=base, commit=commit, now=now)
