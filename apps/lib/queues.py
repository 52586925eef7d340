"""Giving work to the RQ workers, by the dotted name of a door in some app's `jobs.py`."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import django_rq
import redis
from django.conf import settings
from django.db import transaction
from rq import Queue
from rq.registry import FailedJobRegistry, StartedJobRegistry
from rq.serializers import JSONSerializer

from apps.lib.redis import connection, typed_errors

log = logging.getLogger(__name__)


def queue(name: str) -> Queue:
    """The queue `name`; `host.<name>` of other machines need not be in this one's settings."""
    if name in settings.RQ_QUEUES:
        return django_rq.get_queue(name)
    client = django_rq.get_connection("control")
    return Queue(name, connection=client, default_timeout=settings.RQ_JOB_TIMEOUT, serializer=JSONSerializer)


def enqueue(
    queue_name: str,
    door: str,
    *arguments: object,
    on_failure: Callable[[], None] | None = None,
    seconds: int | None = None,
    name: str | None = None,
) -> None:
    """Queue a job once the current transaction is committed. With Redis away `on_failure` is called instead.

    `seconds`: what the job may take; the setting's unless given. `name`: of letters, digits and dashes; while a job of
    this name waits in the queue, no other is added.
    When Redis hangs nobody knows whether it took the job: every job has a sweep that finds what was not done.
    """

    def send() -> None:
        try:
            target = queue(queue_name)
            # Not RQ's own `unique`: that refuses a job whose namesake died with its worker, for as long as it is kept.
            if name and target.get_job_position(name) is not None:
                return
            # django-rq would wait for a commit of its own.
            limits = {"job_timeout": seconds, "result_ttl": 0, "failure_ttl": 86_400}
            Queue.enqueue(target, door, *arguments, job_id=name, **limits)
        except redis.TimeoutError as error:
            log.warning("job %s may not be queued, Redis hangs: %s", door, error)
        except redis.RedisError as error:
            log.warning("job %s not queued, Redis doesn't answer: %s", door, error)
            if on_failure:
                on_failure()

    transaction.on_commit(send)


@dataclass(frozen=True, slots=True)
class Depth:
    """Jobs of one queue. `failed`: those that are still kept."""

    queued: int
    running: int
    failed: int


def depths(names: Sequence[str], *, timeout: float) -> dict[str, Depth]:
    """Of all these queues, in one round trip of at most `timeout` seconds. Raises RedisUnavailable."""
    with typed_errors():
        client = connection(read_timeout=timeout, connect_timeout=timeout)
        with client.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.llen(f"{Queue.redis_queue_namespace_prefix}{name}")
                pipeline.zcard(StartedJobRegistry.key_template.format(name))
                pipeline.zcard(FailedJobRegistry.key_template.format(name))
            found = pipeline.execute()
    return {name: Depth(*found[3 * place : 3 * place + 3]) for place, name in enumerate(names)}
