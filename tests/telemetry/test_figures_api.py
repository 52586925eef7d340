"""Live figures of groups and of the yard over the HTTP API."""

import time
from typing import get_args
from urllib.parse import quote

import msgspec
import pytest
from django.test import Client

from apps.events.domain.actor import Role
from apps.lib.redis import connection
from apps.telemetry import snapshot
from apps.telemetry.api import WINDOWS, GroupFiguresOut, Kind, Window, YardFiguresOut
from apps.telemetry.domain.figures import GroupFigures, Totals
from apps.telemetry.domain.sample import Reading
from apps.telemetry.domain.subjects import KINDS
from apps.telemetry.service import Telemetry
from tests.console.figures import made_up_snapshot, publish
from tests.factories import make_user
from tests.telemetry.factories import arrive, read_off

pytestmark = pytest.mark.django_db

ODD = 'role:a "b" é\n/?&'


@pytest.fixture
def client(redis_server) -> Client:
    client = Client()
    client.force_login(make_user("vera", Role.VIEWER))
    return client


def told(client: Client, query: str = "") -> dict:
    answer = client.get(f"/api/v1/figures{query}")
    assert answer.status_code == 200, answer.content
    return answer.json()


def a_group(**overrides) -> GroupFigures:
    totals = msgspec.structs.asdict(made_up_snapshot([1, 2], []).totals)
    names = [field.name for field in msgspec.structs.fields(GroupFigures)]
    return GroupFigures(**({name: totals[name] for name in names} | overrides))


def publish_groups(*subjects: str, window: int = 300, at: float = 1_800_000_000.0, **overrides) -> None:
    made_up = made_up_snapshot([1, 2], ["w1"], window=window, at=at)
    made_up.groups = {subject: a_group(**overrides) for subject in subjects}
    publish(made_up)


@pytest.mark.django_db(transaction=True)
def test_it_tells_what_the_telemetry_process_counted(client):
    redis = connection(read_timeout=6.0)
    past = time.time() - 20
    arrive(redis, past, 10.0, 30.0, agent=1)
    arrive(redis, past, 20.0, agent=2, group="w2", outcome="error", wait_ms=5.0, wait_kind="slot")
    read_off(redis, time.time(), Reading(1, "w1", "builder", time.time(), 4096, 0.5, 0, 0, "here"))
    telemetry = Telemetry(redis, tick_seconds=0.25)
    telemetry.start()
    telemetry.tick()

    found = told(client, "?window=1m")

    first, second = found["groups"]["wave:w1"], found["groups"]["wave:w2"]
    assert (first["operations"], first["errors"], first["max"], first["kinds"]) == (2, 0, 30.0, {"build": 2})
    assert (second["operations"], second["errors"], second["wait_pct"]) == (1, 1, 25.0)
    assert (first["memory"], first["cpu"]) == (4096, 0.5)
    assert {*found["groups"]} == {"wave:w1", "wave:w2", "role:builder", "host:here", "repository:core"}
    assert (found["yard"]["operations"], found["yard"]["agents"]) == (3, 2)
    assert 0 <= found["age_s"] < 60


def test_what_was_not_reported_is_none_and_not_zero(client):
    publish_groups(
        "wave:w1",
        memory=0,
        cpu=0.0,
        p95=None,
        load_balance=None,
        efficiency=None,
        coordination_efficiency=None,
    )

    found = told(client)

    group = found["groups"]["wave:w1"]
    unknown = {"memory", "cpu", "p95", "load_balance", "efficiency", "coordination_efficiency"}
    assert {name for name, value in group.items() if value is None} == unknown
    assert (found["yard"]["tokens"], found["yard"]["cost_usd"]) == (None, None)


def test_a_core_that_idles_is_a_zero_that_was_read(client):
    publish_groups("host:local", memory=4096, cpu=0.0)

    group = told(client)["groups"]["host:local"]
    assert (group["memory"], group["cpu"]) == (4096, 0.0)


@pytest.mark.parametrize(("word", "window"), WINDOWS.items())
def test_each_window_has_figures_of_its_own(client, word, window):
    publish_groups("wave:w1", window=window, operations=window)

    found = told(client, f"?window={word}")

    assert found["window"] == word
    assert found["groups"]["wave:w1"]["operations"] == window
    others = [other for other in WINDOWS if other != word]
    assert [told(client, f"?window={other}")["groups"] for other in others] == [{}, {}, {}]


def test_figures_of_one_kind_or_of_one_group_can_be_asked_for(client):
    subjects = ["wave:w1", "wave:w11", "wave:other", "role:w1", "host:local", "repository:core", ODD]
    publish_groups(*subjects)

    assert [*told(client)["groups"]] == subjects
    assert [*told(client, "?kind=wave")["groups"]] == ["wave:w1", "wave:w11", "wave:other"]
    assert [*told(client, "?subject=wave:w1")["groups"]] == ["wave:w1"]
    assert [*told(client, f"?subject={quote(ODD)}")["groups"]] == [ODD]
    assert told(client, "?kind=role&subject=wave:w1")["groups"] == {}
    assert told(client, "?subject=wave:w1")["yard"]["operations"] > 0


def test_a_group_nobody_heard_of_has_no_figures(client):
    publish_groups("wave:w1")

    assert told(client, "?subject=wave:w2")["groups"] == {}


def test_before_the_first_figures_there_are_none(client):
    assert told(client) == {"window": "5m", "at": None, "age_s": None, "yard": None, "groups": {}}


def test_while_redis_is_away_it_says_so(client, settings, tmp_path):
    settings.REDIS_URL = f"unix://{tmp_path / 'no-redis.sock'}"

    answer = client.get("/api/v1/figures")

    assert (answer.status_code, [*answer.json()]) == (503, ["error"])
    assert "Redis doesn't answer" in answer.json()["error"]


def test_figures_of_another_version_are_none(client):
    connection().set(snapshot.key(300), b"\x81\xa5other\x01")

    assert told(client)["yard"] is None


def test_it_tells_how_old_they_are(client):
    publish_groups("wave:w1", at=time.time() - 600)

    assert told(client)["age_s"] == pytest.approx(600, abs=60)


def test_the_schema_names_every_figure_and_no_other():
    assert {*GroupFiguresOut.model_fields} == {field.name for field in msgspec.structs.fields(GroupFigures)}
    assert {*YardFiguresOut.model_fields} == {field.name for field in msgspec.structs.fields(Totals)}
    assert get_args(Kind) == KINDS
    assert get_args(Window) == tuple(WINDOWS)


def test_the_documentation_of_the_api_tells_what_it_answers(client):
    schema = client.get("/api/v1/openapi.json").json()

    asked = schema["paths"]["/api/v1/figures"]["get"]
    content = asked["responses"]["200"]["content"]["application/json"]["schema"]
    assert content["$ref"].endswith("/FiguresOut")
    assert {one["name"]: one["required"] for one in asked["parameters"]} == dict.fromkeys(
        ("window", "kind", "subject"), False
    )
    parts = schema["components"]["schemas"]
    assert {*parts["GroupFiguresOut"]["properties"]} == {*parts["GroupFiguresOut"]["required"]}
