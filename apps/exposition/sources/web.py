"""The live push of the web process that answers."""

from apps.console import consumer
from apps.exposition import metrics
from apps.exposition.page import Page


def collect(page: Page) -> None:
    pusher = consumer.pusher
    page.put(metrics.VIEWERS, len(pusher.viewers) if pusher else 0)
    page.put(metrics.PUSHES, pusher.ticks if pusher else 0)
    page.put(metrics.PUSH_CPU, pusher.cpu_seconds if pusher else 0.0)
