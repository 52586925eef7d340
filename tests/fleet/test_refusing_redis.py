"""A Redis that refuses all writes costs figures, never an agent."""

import pytest

from .supervising import UNTIL_TOLD


@pytest.mark.parametrize("option", ["maxmemory", "min-replicas-to-write"])
def test_agents_live_and_end_without_it(fleet, redis_server, settings, option):
    settings.REDIS_URL = redis_server.url
    admin = redis_server.client()
    admin.config_set(option, "1")
    try:
        agent = fleet.running(f"{UNTIL_TOLD}; exit 3")
        fleet.tell()
        fleet.until_ended(agent)
    finally:
        admin.config_set(option, "0")

    assert agent.exit_code == 3
