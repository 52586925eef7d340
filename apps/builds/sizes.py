"""Which build directories are to be measured, when, and by which host."""

import logging
import time
from datetime import datetime
from pathlib import Path

from django.db.models import F, Q, QuerySet
from django.utils import timezone

from apps.builds import actions, places
from apps.builds.disk_use import DiskUse, TookTooLong, disk_use
from apps.builds.models import BuildDirectory
from apps.capacity import leases
from apps.lib.queues import enqueue

log = logging.getLogger(__name__)

LEASE = "build-sizes"
EVERY_SECONDS = 300.0
AT_A_TIME = 20  # directories a job
JOB_SECONDS = 300  # that it may take; it begins no further directory after half of that


def outdated() -> QuerySet[BuildDirectory]:
    """Those of the yard that were used since somebody looked last. One that its user chose may be anything."""
    used_since = Q(sized_at=None) | Q(used_at__gt=F("sized_at"))
    return BuildDirectory.objects.filter(used_since, used_at__isnull=False).exclude(key="")


def measure_build_directories(now: datetime) -> None:
    """Every five minutes, a job for each host that has some to measure."""
    if leases.is_held(name=LEASE, now=now):
        return
    leases.acquire(name=LEASE, holder=LEASE, now=now, seconds=EVERY_SECONDS)
    for host in outdated().order_by().values_list("host__name", flat=True).distinct():
        enqueue(f"host.{host}", "apps.builds.jobs.measure_directories_job", host, seconds=JOB_SECONDS)


def measure_some(host: str) -> int:
    """Of that host, which is this one: the ones that were looked at longest ago. Returns how many."""
    until, looked_at = time.monotonic() + JOB_SECONDS / 2, 0
    oldest = outdated().filter(host__name=host).order_by(F("sized_at").asc(nulls_first=True), "pk")
    for directory in oldest[:AT_A_TIME]:
        if time.monotonic() > until:
            break
        began_at = timezone.now()  # what is built meanwhile is for the next time
        actions.record_size(directory=directory, size=size_of(Path(directory.path)), now=began_at)
        looked_at += 1
    return looked_at


def size_of(path: Path) -> DiskUse | None:
    """None for one that is gone, that leads out of the yard's own directories, or that is too large to look at."""
    root = places.root().resolve()
    try:
        if not path.resolve().is_relative_to(root):
            return None
        return disk_use(path)
    except (OSError, RuntimeError) as error:
        log.debug("no size of %s: %s", path, error)
    except TookTooLong as error:
        log.warning("%s", error)
    return None
