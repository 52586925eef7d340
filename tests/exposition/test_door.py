"""Who may read `/metrics`, and in which format."""

import subprocess
from datetime import timedelta

import pytest
from django.test import Client
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as text

from apps.access.actions import make_api_token
from apps.events.domain.actor import YARD, Role
from tests.exposition.filling import fill, hold_samples, publish_figures
from tests.factories import make_user, now
from tests.needs import needs

pytestmark = pytest.mark.django_db

# As Prometheus 2 and 3 send them.
ACCEPTS = [
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;"
    "q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
]


def token_of(role: Role | None = Role.VIEWER, **overrides) -> dict[str, str]:
    user = make_user("prometheus", role)
    secret = make_api_token(user=user, name="scraper", role=Role.VIEWER, actor=YARD, **overrides)
    return {"Authorization": f"Bearer {secret}"}


def test_it_refuses_whoever_shows_neither_session_nor_token(client):
    answer = client.get("/metrics")

    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Bearer"
    assert "apitoken make" in answer.content.decode()
    assert "swarmyard_" not in answer.content.decode()


def test_it_answers_a_token(client):
    answer = client.get("/metrics", headers=token_of())

    assert answer.status_code == 200
    assert "swarmyard_redis_up" in answer.content.decode()
    assert answer["Cache-Control"] == "no-store"


def test_it_answers_the_session_of_a_viewer(reader):
    assert reader.get("/metrics").status_code == 200


def test_it_refuses_a_token_that_expired(client):
    headers = token_of(expires_at=now() - timedelta(days=1))

    assert client.get("/metrics", headers=headers).status_code == 401


@pytest.mark.parametrize("header", ["Bearer yard_wrong", "Bearer", "Basic dXNlcjpwdw==", "Bearer \udce9"])
def test_it_refuses_what_is_no_token(client, header):
    assert client.get("/metrics", headers={"Authorization": header}).status_code == 401


def test_a_wrong_token_is_not_made_up_for_by_a_session(reader):
    assert reader.get("/metrics", headers={"Authorization": "Bearer yard_wrong"}).status_code == 401


def test_it_refuses_a_token_whose_owner_has_no_role(client):
    assert client.get("/metrics", headers=token_of(None)).status_code == 401


def test_it_refuses_a_person_without_a_role():
    client = Client()
    client.force_login(make_user("nobody", None))

    assert client.get("/metrics").status_code == 401


def test_it_answers_everybody_where_the_operator_says_so(client, settings):
    settings.METRICS_OPEN = True

    assert client.get("/metrics").status_code == 200


def test_it_is_for_reading(reader):
    assert reader.post("/metrics").status_code == 405


@pytest.mark.parametrize("accept", ACCEPTS)
def test_it_speaks_open_metrics_to_those_who_prefer_it(reader, accept):
    fill(agents=2)

    answer = reader.get("/metrics", headers={"Accept": accept})

    assert answer["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name: family for family in open_metrics(answer.content.decode())}
    assert families["swarmyard_lock_wait_seconds"].unit == "seconds"
    assert families["swarmyard_operations"].type == "counter"
    assert (families["swarmyard_cost_usd"].type, families["swarmyard_cost_usd"].unit) == ("counter", "usd")


@pytest.mark.parametrize(
    "accept", ["", "*/*", "text/plain", "text/html,*/*;q=0.8", "application/json", ";;=,q=x"]
)
def test_it_speaks_plain_text_to_all_others(reader, accept):
    answer = reader.get("/metrics", headers={"Accept": accept})

    assert answer["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert any(family.name == "swarmyard_redis_up" for family in text(answer.content.decode()))


@needs("promtool")
def test_promtool_has_nothing_to_say_against_it(reader, redis_server, queues):
    publish_figures(fill(agents=3, waves=2))
    hold_samples()
    page = reader.get("/metrics").content

    done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, timeout=30)

    assert (done.returncode, done.stderr.decode(), done.stdout.decode()) == (0, "", "")
