"""Where the target branches stand of which bases are kept: looked at by a job of the base's host, as that takes git."""

import logging
from datetime import datetime
from pathlib import Path

from apps.builds.base_actions import want, watched
from apps.capacity import leases
from apps.lib.queues import enqueue
from apps.workspaces import git
from apps.workspaces.exceptions import GitFailed

log = logging.getLogger(__name__)

LEASE = "bases.look"  # that nobody has it means that it is time
EVERY_SECONDS = 20.0


def ask_for_looks(now: datetime) -> None:
    """The scheduler's step. No look where no agents are, nor were lately."""
    if leases.is_held(name=LEASE, now=now):
        return
    leases.acquire(name=LEASE, holder=LEASE, now=now, seconds=EVERY_SECONDS)
    for name in {base.host.name for base in watched(now)}:
        enqueue(f"host.{name}", "apps.builds.jobs.look_job", name)


def look_at_targets(host_name: str, now: datetime) -> None:
    for base in watched(now):
        if base.host.name != host_name:
            continue
        try:
            commit = git.commit_of(Path(base.repository.path), f"refs/heads/{base.repository.target}")
        except GitFailed as error:
            log.warning("the target of %s can't be looked at: %s", base.repository.name, error)
            continue
        if commit:
            want(base=base, commit=commit, now=now)
