"""Compiler caches, as their hosts found them last."""

from datetime import datetime

from apps.builds.models import CompilerCache
from apps.exposition import metrics
from apps.exposition.page import Page
from apps.exposition.sources.hosts import SHOWN
from apps.fleet.readings import answers

REASONS = 20  # that are shown of each


def collect(page: Page, now: datetime) -> None:
    rows = CompilerCache.objects.select_related("host").defer("host__equipment").order_by("host__name")
    for cache in rows[:SHOWN]:
        if not answers(cache.host, now):
            continue
        name = cache.host.name
        page.put(metrics.CACHE_UP, float(not cache.problem), name)
        if cache.problem:
            continue
        page.put(metrics.CACHE_HITS, cache.hits, name)
        page.put(metrics.CACHE_MISSES, cache.misses, name)
        page.put(metrics.CACHE_ERRORS, cache.errors, name)
        page.put(metrics.CACHE_SIZE, cache.size_bytes, name)
        for reason, count in sorted(cache.reasons.items())[:REASONS]:
            page.put(metrics.CACHE_PASSED, count, name, reason)
