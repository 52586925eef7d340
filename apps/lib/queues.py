"""Giving work to the RQ workers, by the dotted name of a door in some app's `jobs.py`."""

import logging
from collections.abc import Callable

import django_rq
import redis
from django.conf import settings
from django.db import transaction
from rq import Queue
from rq.serializers import JSONSerializer

log = logging.getLogger(__name__)


def queue(name: str) -> Queue:
    """The queue `name`; `host.<name>` of other machines need not be in this one's settings."""
    if name in settings.RQ_QUEUES:
        return django_rq.get_queue(name)
    connection = django_rq.get_connection("control")
    return Queue(
        name, connection=connection, default_timeout=settings.RQ_JOB_TIMEOUT, serializer=JSONSerializer
    )


def enqueue(
    queue_name: str, door: str, *arguments: object, on_failure: Callable[[], None] | None = None
) -> None:
    """Queue a job once the current transaction is committed. With Redis away `on_failure` is called instead.

    When Redis hangs nobody knows whether it took the job: every job has a sweep that finds what was not done.
    """

    def send() -> None:
        try:
            # django-rq would wait for a commit of its own.
            Queue.enqueue(queue(queue_name), door, *arguments, result_ttl=0, failure_ttl=86_400)
        except redis.TimeoutError as error:
            log.warning("job %s may not be queued, Redis hangs: %s", door, error)
        except redis.RedisError as error:
            log.warning("job %s not queued, Redis doesn't answer: %s", door, error)
            if on_failure:
                on_failure()

    transaction.on_commit(send)
