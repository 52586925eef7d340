"""Asking a worker for slow work, and waiting a moment for its answer: for processes that must not do it themselves."""

import math
from collections.abc import Callable
from typing import Any, Protocol

import redis
from django.db import connection as database
from django.utils.module_loading import import_string
from rq import Queue
from rq.job import Job
from rq.results import Result
from rq.serializers import JSONSerializer

from apps.lib.queues import queue
from apps.lib.redis import RedisUnavailable, connection

# Seconds that somebody waits for an answer before they are told that the workers are busy.
PATIENCE = 8.0
SPARE = 2.0  # that an answer may take on its way, after the time for which Redis was asked to wait

Refusals = tuple[type[Exception], ...]


class NoAnswer(Exception):
    """No answer in time, or none at all; the message says why, for people. Asking again may help."""


class Failed(NoAnswer):
    """The work itself failed; asking again at once won't help."""


class Ask(Protocol):
    def __call__(
        self, queue_name: str, door: Callable[..., Any], *arguments: Any, refusals: Refusals = ()
    ) -> Any:
        """What `door(*arguments)` returns, which like its arguments is plain JSON; or one of `refusals`."""


def here(queue_name: str, door: Callable[..., Any], *arguments: Any, refusals: Refusals = ()) -> Any:
    """Does the work in this process: for commands and jobs, which may be slow."""
    return door(*arguments)


def ask(
    queue_name: str,
    door: Callable[..., Any],
    *arguments: Any,
    refusals: Refusals = (),
    patience: float = PATIENCE,
    kept_asked: float | None = None,
) -> Any:
    """Lets a worker of `queue_name` do the work, ahead of what waits there. Raises NoAnswer after `patience` seconds;
    the question itself is dropped after `kept_asked` seconds, the same unless given."""
    names = [name_of(refusal) for refusal in refusals]
    try:
        line = queue(queue_name)
        # django-rq would wait for a commit.
        job = Queue.enqueue_call(
            line,
            "apps.lib.questions.answer",
            args=(name_of(door), arguments, names),
            ttl=math.ceil(kept_asked or patience),
            result_ttl=math.ceil(SPARE),
            failure_ttl=86_400,
            at_front=True,
        )
        give_back_database()
        result = wait_for(job, patience)
        if result is None and kept_asked is None:
            line.remove(job.id)  # else its name would stand there until a worker comes, which may be never
    except redis.RedisError as error:
        raise NoAnswer(str(RedisUnavailable(error))) from error
    if result is None:
        raise NoAnswer(f"The workers of {queue_name} are busy, or none runs: try again in a moment.")
    if result.type != Result.Type.SUCCESSFUL or result.return_value is None:
        raise Failed(f"This failed in a worker of {queue_name}; its log says why.")
    return answered(result.return_value, dict(zip(names, refusals, strict=True)))


def give_back_database() -> None:
    """Whoever waits holds no connection meanwhile: a pool has few, and pages want them."""
    if not database.in_atomic_block:
        database.close()


def wait_for(job: Job, seconds: float) -> Result | None:
    """Blocks in Redis, without using any CPU."""
    ours = Job(job.id, connection=connection(read_timeout=seconds + SPARE), serializer=JSONSerializer)
    return ours.latest_result(timeout=math.ceil(seconds))


def answer(door: str, arguments: list[Any], refusals: list[str]) -> dict[str, Any]:
    """The worker's side. A refusal that the asker knows is an answer; anything else is a fault of the job."""
    try:
        return {"answer": import_string(door)(*arguments)}
    except Exception as error:
        if name_of(type(error)) not in refusals:
            raise
        return {"refusal": name_of(type(error)), "text": str(error)}


def answered(value: dict[str, Any], refusals: dict[str, type[Exception]]) -> Any:
    if "refusal" in value:
        raise refusals[value["refusal"]](value["text"])
    return value["answer"]


def name_of(thing: Any) -> str:
    return f"{thing.__module__}.{thing.__qualname__}"
