"""A pass of rendering waits for Redis once, however much it wants of it."""

import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from apps.console.moment import Moment
from tests.console.figures import made_up_agent_charts, made_up_snapshot, publish, publish_agent_charts

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def hanging(redis_server) -> Iterator[int]:
    """A Redis that has figures, and takes connections, and never answers."""
    publish(made_up_snapshot([1], ["w1"]))
    publish_agent_charts(made_up_agent_charts(1))
    pid = redis_server.process.pid
    os.kill(pid, signal.SIGSTOP)
    yield pid
    os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("first", ["snapshot", "charts"])
def test_it_waits_a_second_for_a_redis_that_hangs_and_asks_no_more(hanging, first):
    moment, begun = Moment(NOW), time.monotonic()

    if first == "snapshot":
        assert moment.snapshot(300) is None
    found = [moment.agent_charts(pk, 300) for pk in range(1, 21)] + [moment.snapshot(60)]

    assert found == [None] * 21
    assert 0.9 < time.monotonic() - begun < 5


def test_the_next_pass_asks_again(hanging):
    Moment(NOW).snapshot(300)
    os.kill(hanging, signal.SIGCONT)

    moment = Moment(NOW)

    assert moment.snapshot(300) is not None
    assert moment.agent_charts(1, 300) is not None
