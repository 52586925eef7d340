from collections.abc import Callable, Iterator

import pytest

from apps.fleet.models import Agent, Host, State
from apps.fleet.tokens import new_agent_token, token_hash
from tests.conftest import RedisServer
from tests.gateway.processes import GatewayProcess


@pytest.fixture(scope="session")
def _gateway_process(
    django_db_setup, django_db_blocker, _redis_process: RedisServer
) -> Iterator[GatewayProcess]:
    with django_db_blocker.unblock():
        process = GatewayProcess(_redis_process.url)
    yield process
    process.kill()


@pytest.fixture
def gateway(transactional_db, redis_server: RedisServer, _gateway_process: GatewayProcess) -> GatewayProcess:
    """A real gateway on the tests' Redis and database."""
    return _gateway_process


@pytest.fixture
def make_agent(transactional_db) -> Callable[..., tuple[Agent, str]]:
    """A running agent and its token."""

    def make(**overrides) -> tuple[Agent, str]:
        host, _ = Host.objects.get_or_create(name="here")
        token = new_agent_token()
        number = Agent.objects.count() + 1
        fields = {
            "name": f"w1/agent-{number:02}",
            "group": "w1",
            "role": "coder",
            "preset": "command",
            "host": host,
            "state": State.BUSY,
            "token_hash": token_hash(token),
            **overrides,
        }
        return Agent.objects.create(**fields), token

    return make
