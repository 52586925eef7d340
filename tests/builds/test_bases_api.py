"""Bases, options and waits that go on, over HTTP and on the command line."""

import json

import pytest
from django.core.management import CommandError
from django.test import Client

from apps.builds.models import Base, BuildOptions
from apps.events.domain.actor import Role
from tests.builds.test_builds_command import run
from tests.factories import make_base, make_build, make_host, make_ongoing_wait, make_repository, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def client_of():
    def of(role: Role) -> Client:
        client = Client()
        client.force_login(make_user(role.word, role))
        return client

    return of


@pytest.fixture
def base() -> Base:
    make_host()
    return make_base(make_repository("ingest"), state="failed", problem="no room")


def test_it_lists_bases(client_of, base):
    (found,) = client_of(Role.VIEWER).get("/api/v1/bases").json()

    assert (found["repository"], found["host"], found["state"]) == ("ingest", "local", "failed")
    assert (found["problem"], found["seconds"]) == ("no room", 42.0)


def test_an_operator_has_one_built_and_a_viewer_has_not(client_of, base):
    address = f"/api/v1/bases/{base.pk}/build"

    assert client_of(Role.VIEWER).post(address).status_code == 403
    answer = client_of(Role.OPERATOR).post(address)
    again = client_of(Role.OPERATOR).post(address)

    assert (answer.status_code, answer.json()["state"]) == (202, "queued")
    assert again.status_code == 409
    assert "being built already" in again.json()["error"]


def test_the_command_tells_of_bases_and_has_them_built(base):
    assert "no room" in run("bases")
    assert json.loads(run("bases", "--build", "ingest", "--json"))[0]["state"] == "queued"
    with pytest.raises(CommandError, match="being built already"):
        run("bases", "--build", "ingest")


def test_options_are_shown_and_switched(client_of, base):
    operator, address = client_of(Role.OPERATOR), "/api/v1/build-options/ingest"

    before = operator.get(address).json()
    after = operator.patch(address, {"slots": "off"}, content_type="application/json").json()

    assert (before["slots"], after["slots"], after["warm_start"]) == ("on", "off", "on")
    assert BuildOptions.objects.get().slots is False


@pytest.mark.parametrize("body", [{}, {"slots": "maybe"}, {"eggs": "on"}])
def test_options_that_are_none_are_refused(client_of, base, body):
    answer = client_of(Role.OPERATOR).patch(
        "/api/v1/build-options/ingest", body, content_type="application/json"
    )

    assert answer.status_code == 409
    assert not BuildOptions.objects.exists()


def test_a_viewer_switches_nothing(client_of, base):
    answer = client_of(Role.VIEWER).patch(
        "/api/v1/build-options/ingest", {"slots": "off"}, content_type="application/json"
    )

    assert answer.status_code == 403


def test_it_lists_waits_that_go_on(client_of):
    make_host()
    holder = make_build(None, who="ada")
    build = make_build(None, who="bob", state="running", ended_at=None)
    make_ongoing_wait(build, holder=holder, holder_pid=7)
    silent = make_host("builder", heartbeat_at=None)
    make_ongoing_wait(make_build(None, host=silent, state="running", ended_at=None))

    (found,) = client_of(Role.VIEWER).get("/api/v1/builds/waits-now").json()

    assert (found["build"], found["who"], found["holder"], found["holder_pid"]) == (build.pk, "bob", "ada", 7)
