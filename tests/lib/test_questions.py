"""Work that a process may not do itself is done by a worker, and its answer awaited for a moment only."""

import os
import signal
import time

import pytest
from django.db import connection as database
from django.db import transaction

from apps.lib import questions
from apps.lib.questions import Failed, NoAnswer, ask
from apps.lib.queues import queue
from apps.lib.text import plain_text
from apps.workspaces.exceptions import GitFailed, RepositoryRefused
from apps.workspaces.inspection import inspect

HOST = "host.local"


def slow(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def broken() -> None:
    raise ZeroDivisionError


def test_the_answer_is_what_the_door_returns_in_another_process(worker):
    assert ask(HOST, plain_text, "a\x1b[1mb") == "ab"
    assert ask(HOST, slow, 0) not in (os.getpid(), worker.pid)


def test_a_refusal_is_raised_as_it_was(worker, tmp_path):
    with pytest.raises(RepositoryRefused, match="is not a directory") as refusal:
        ask(HOST, inspect, str(tmp_path / "none"), None, refusals=(RepositoryRefused, GitFailed))

    assert type(refusal.value) is RepositoryRefused


def test_any_other_fault_is_no_answer(worker):
    with pytest.raises(NoAnswer, match="its log says why"):
        ask(HOST, broken)


def test_nobody_waits_longer_than_their_patience(redis_server, worker):
    worker.send_signal(signal.SIGSTOP)
    begun, used = time.monotonic(), time.process_time()
    try:
        with pytest.raises(NoAnswer, match=r"host\.local are busy"):
            ask(HOST, slow, 0, patience=1)
    finally:
        worker.send_signal(signal.SIGCONT)

    assert 0.9 < time.monotonic() - begun < 6
    assert time.process_time() - used < 0.2


def test_a_question_that_nobody_waits_for_any_more_is_not_answered(redis_server, worker, tmp_path):
    worker.send_signal(signal.SIGSTOP)
    with pytest.raises(NoAnswer):
        ask(HOST, os.mkdir, str(tmp_path / "late"), patience=1)
    time.sleep(0.5)  # its second is over
    worker.send_signal(signal.SIGCONT)

    assert ask(HOST, plain_text, "next") == "next"
    assert not (tmp_path / "late").exists()


def test_questions_go_ahead_of_what_waits(redis_server, worker):
    waiting = queue(HOST)
    for _ in range(20):
        waiting.enqueue_call("tests.lib.test_questions.slow", (0.5,), result_ttl=0)

    assert ask(HOST, plain_text, "first") == "first"
    assert waiting.count > 10


def test_with_redis_away_it_says_so(redis_server, worker):
    redis_server.kill()

    with pytest.raises(NoAnswer, match="doesn't answer"):
        ask(HOST, plain_text, "x")


def test_a_question_that_no_worker_took_leaves_the_queue(queues):
    with pytest.raises(NoAnswer):
        ask(HOST, plain_text, "x", patience=1)

    assert queue(HOST).job_ids == []


def test_a_fault_is_told_from_a_lack_of_time(worker):
    with pytest.raises(Failed):
        ask(HOST, broken)


@pytest.mark.django_db(transaction=True)
def test_whoever_waits_holds_no_connection_to_the_database(queues, monkeypatch):
    database.ensure_connection()
    held = []
    wait_for = questions.wait_for

    def noted(job, seconds):
        held.append(database.connection is not None)
        return wait_for(job, seconds)

    monkeypatch.setattr(questions, "wait_for", noted)
    with pytest.raises(NoAnswer):
        ask(HOST, plain_text, "x", patience=1)
    with transaction.atomic(), pytest.raises(NoAnswer):  # nothing is lost for it
        ask(HOST, plain_text, "x", patience=1)

    assert held == [False, True]
