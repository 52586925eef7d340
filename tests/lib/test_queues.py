"""Jobs are queued once their transaction is committed, readable for every worker; Redis may be away or hang."""

import os
import signal
import time

import pytest
from django.db import transaction
from rq.job import Job
from rq.serializers import JSONSerializer

from apps.lib.queues import enqueue, queue

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def queues(redis_server, settings):
    address = f"{redis_server.url}?socket_timeout=0.3"
    settings.RQ_QUEUES = {name: config | {"URL": address} for name, config in settings.RQ_QUEUES.items()}
    return redis_server


def jobs(name):
    found = queue(name)
    ids = found.get_job_ids()
    return [Job.fetch(one, connection=found.connection, serializer=JSONSerializer) for one in ids]


@pytest.mark.parametrize("name", ["control", "host.another-machine"])
def test_a_job_is_its_door_and_plain_values(queues, name):
    enqueue(name, "apps.waves.jobs.prepare_job", [(1, 2)])

    (job,) = jobs(name)
    assert (job.func_name, job.args) == ("apps.waves.jobs.prepare_job", [[[1, 2]]])


def test_it_waits_for_the_commit(queues):
    with transaction.atomic():
        enqueue("control", "apps.waves.jobs.advance_job", 1)
        assert jobs("control") == []

    assert len(jobs("control")) == 1


def test_what_was_rolled_back_is_not_queued(queues):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        enqueue("control", "apps.waves.jobs.advance_job", 1)
        _ = 1 / 0

    assert jobs("control") == []


def test_with_redis_away_the_caller_is_told(queues, caplog):
    queues.kill()
    told = []

    enqueue("control", "apps.waves.jobs.advance_job", 1, on_failure=lambda: told.append("lost"))
    enqueue("control", "apps.waves.jobs.advance_job", 1)

    assert told == ["lost"]
    assert "not queued, Redis doesn't answer" in caplog.text


def test_a_redis_that_hangs_may_have_taken_it(queues, caplog):
    os.kill(queues.process.pid, signal.SIGSTOP)
    told, begun = [], time.monotonic()
    try:
        enqueue("control", "apps.waves.jobs.advance_job", 1, on_failure=lambda: told.append("lost"))
    finally:
        os.kill(queues.process.pid, signal.SIGCONT)

    assert time.monotonic() - begun < 3
    assert told == []
    assert "may not be queued, Redis hangs" in caplog.text
