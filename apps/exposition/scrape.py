"""One scrape: a bounded number of questions, whatever there is."""

from datetime import datetime

from apps.exposition.page import Page
from apps.exposition.sources import (
    agents,
    compiler_caches,
    hosts,
    jobs,
    spending,
    telemetry,
    waves,
    web,
    yard,
)


def scrape(now: datetime) -> Page:
    page = Page()
    state = telemetry.collect(page, now)
    labels = waves.collect(page, now)
    telemetry.collect_operations(page, labels)
    spending.collect(page, labels)
    spending.collect_models(page, labels)
    host_names = hosts.collect(page, now)
    compiler_caches.collect(page, now)
    agents.collect(page, telemetry.fresh_figures(state), now)
    yard.collect(page, now)
    if state is not None:  # Redis away: it is waited for once
        jobs.collect(page, host_names)
    web.collect(page)
    return page
