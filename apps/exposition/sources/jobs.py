"""Jobs by queue."""

from collections.abc import Iterable
from dataclasses import asdict

from django.conf import settings

from apps.exposition import metrics
from apps.exposition.page import Page
from apps.lib.queues import depths
from apps.lib.redis import RedisUnavailable

REDIS_SECONDS = 1.0


def collect(page: Page, hosts: Iterable[str]) -> None:
    names = {*settings.RQ_QUEUES, *(f"host.{name}" for name in hosts)}
    try:
        found = depths(sorted(names), timeout=REDIS_SECONDS)
    except RedisUnavailable:
        return
    for name, depth in found.items():
        for state, count in asdict(depth).items():
            page.put(metrics.JOBS, count, name, state)
