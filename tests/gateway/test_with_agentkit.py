"""Both ends of the wire format together: the client that agents use, and the real gateway."""

import pytest

from agentkit.client import Client
from apps.lib.redis import connection as redis_connection
from apps.telemetry.domain.tally import total
from apps.telemetry.ingest import read_now
from apps.telemetry.stream import Stream
from tests.gateway.processes import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def stored() -> int:
    return sum(total(entry.parts.values()).operations for entry in Stream(redis_connection()).take()[1])


def test_what_an_agent_reports_arrives(gateway, make_agent):
    agent, token = make_agent()
    client = Client(gateway.url, token)
    client.tell(now="cargo check", state="busy")
    for number in range(600):
        client.report(
            "build", ms=number, wait_ms=1.0, wait_kind="build-directory", memory=10, note="é\x1b[0m"
        )
    receipt = client.close()

    assert (receipt.acked, receipt.lost, receipt.dropped) == (600, 0, 0)
    assert stored() == 600
    assert read_now([agent.pk])[agent.pk].now == "cargo check"


def test_nothing_is_lost_or_doubled_while_redis_is_away(gateway, make_agent, redis_server):
    _, token = make_agent()
    client = Client(gateway.url, token)
    client.report("build", ms=1)
    wait_until(lambda: stored() == 1, what="the first sample arrives")
    redis_server.kill()
    for _ in range(500):
        client.report("build", ms=1)
    wait_until(lambda: client.problem, what="the client notices")
    redis_server.start()
    receipt = client.close(timeout=20)

    assert (receipt.acked, receipt.lost, receipt.dropped) == (501, 0, 0)
    assert stored() == 501
