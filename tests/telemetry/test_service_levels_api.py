"""The service levels over the HTTP API."""

import time

import pytest
from django.test import Client

from apps.events.domain.actor import Role
from apps.telemetry.api import WINDOWS
from apps.telemetry.domain.window import WINDOWS as PUBLISHED
from tests.console.figures import made_up_snapshot, publish
from tests.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(settings, tmp_path) -> Client:
    settings.SWARMYARD_HOME = tmp_path
    client = Client()
    client.force_login(make_user("vera", Role.VIEWER))
    return client


def told(client: Client, query: str = "") -> tuple[dict, dict]:
    answer = client.get(f"/api/v1/service-levels{query}").json()
    return answer, {level["name"]: level for level in answer["levels"]}


def test_it_tells_target_measured_figure_and_verdict(client, redis_server):
    publish(made_up_snapshot([1], ["w1"], window=3600, at=time.time()))

    answer, levels = told(client, "?window=1h")

    assert answer["window"] == "1h"
    assert answer["at"]
    assert (levels["p95_ms"]["target"], levels["p95_ms"]["measured"]) == (200.0, 21.0)
    assert (levels["p95_ms"]["verdict"], levels["commits_per_s"]["verdict"]) == ("met", "no data")


def test_it_has_no_data_while_redis_is_away(client, settings, tmp_path):
    settings.REDIS_URL = f"unix://{tmp_path / 'no-redis.sock'}"

    answer, levels = told(client)

    assert answer["at"] is None
    assert {level["verdict"] for level in levels.values()} == {"no data"}


def test_it_refuses_a_window_that_nobody_publishes(client):
    assert client.get("/api/v1/service-levels?window=2h").status_code == 422
    assert set(WINDOWS.values()) == set(PUBLISHED)
