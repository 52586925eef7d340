"""Removing what starts of agents left behind that nobody looks at any more."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from apps.fleet.models import Agent

STARTS_KEPT = 3  # of each agent: the newest one and those before it


def remove_old_runs(*, limit: int) -> int:
    """Run directories on this machine of starts long over, at most `limit` of them. Returns how many."""
    removed = 0
    for directory in old_runs():
        if removed == limit:
            break
        shutil.rmtree(directory, ignore_errors=True)  # never follows a link that an agent may have put there
        removed += not directory.exists()
    return removed


def old_runs() -> Iterator[Path]:
    agents = Agent.objects.filter(epoch__gt=STARTS_KEPT).order_by("pk").values_list("pk", "epoch")
    for pk, epoch in agents:
        directory = settings.SWARMYARD_HOME / "runs" / str(pk)
        for run in directory.iterdir() if directory.is_dir() else ():
            if run.name.isdecimal() and int(run.name) <= epoch - STARTS_KEPT and not run.is_symlink():
                yield run
