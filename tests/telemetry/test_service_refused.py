"""A Redis that answers, but refuses to write: the telemetry process waits until it takes writes again."""

import threading
import time

import pytest

from apps.lib.redis import connection
from apps.telemetry import service
from apps.telemetry.snapshot import key

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("option", ["maxmemory", "min-replicas-to-write"])
def test_it_waits_until_writes_are_taken_again(redis_server, caplog, option):
    admin, stop, told = redis_server.client(), threading.Event(), []

    def until(condition):
        deadline = time.monotonic() + 10
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.02)
        return bool(condition())

    def operator():
        told.append(until(lambda: "starts again from its checkpoint" in caplog.text))
        admin.config_set(option, "0")
        told.append(until(lambda: admin.exists(key(60))))
        stop.set()

    admin.config_set(option, "1")
    thread = threading.Thread(target=operator)
    thread.start()
    try:
        service.run(connection(read_timeout=6.0), tick_seconds=0.1, stop=stop)
    finally:
        thread.join()
        admin.config_set(option, "0")

    assert told == [True, True]
