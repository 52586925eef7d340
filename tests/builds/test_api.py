"""Builds over HTTP."""

import pytest
from django.test import Client

from apps.builds.actions import keep_recording
from apps.builds.domain.units import Rebuild, Recording, Unit
from apps.builds.models import Source
from apps.events.domain.actor import Role
from tests.factories import (
    make_build,
    make_build_directory,
    make_host,
    make_lock_wait,
    make_member,
    make_repository,
    make_user,
    make_wave,
    now,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def agent():
    return make_member(make_wave("w1", repository=make_repository("ingest")))


@pytest.fixture
def get():
    client = Client()
    client.force_login(make_user("vera", Role.VIEWER))

    def ask(path: str, **query):
        answer = client.get(f"/api/v1{path}", query)
        assert answer.status_code == 200
        return answer.json()

    return ask


def test_it_lists_builds_newest_first_and_pages_on(get, agent):
    pks = [make_build(agent).pk for _ in range(3)]

    assert [row["id"] for row in get("/builds")] == pks[::-1]
    assert [row["id"] for row in get("/builds", limit=1)] == [pks[2]]
    assert [row["id"] for row in get("/builds", before=pks[1])] == [pks[0]]


@pytest.mark.parametrize(
    ("query", "count"),
    [({"wave": "w1"}, 1), ({"repository": "ingest"}, 1), ({"host": "builder"}, 1), ({"state": "failed"}, 1),
     ({"mode": "release"}, 0), ({"state": "open"}, 0), ({}, 2)],
)  # fmt: skip
def test_it_lists_those_that_are_asked_for(get, agent, query, count):
    make_build(agent, state="failed", exit_code=101)
    make_build(None, host=make_host("builder"))

    assert len(get("/builds", **query)) == count


def test_it_shows_a_build_with_its_waits(get, agent):
    holder = make_build(None, who="ada")
    build = make_build(agent, state="killed", exit_code=-9, memory_bytes=None)
    make_lock_wait(build, holder=holder, ms=1500)

    found = get(f"/builds/{build.pk}")

    assert (found["agent"], found["ended_with"], found["memory_bytes"]) == (
        agent.name,
        "SIGKILL (killed)",
        None,
    )
    (wait,) = found["waits"]
    assert (wait["kind"], wait["ms"], wait["holder_build"], wait["holder"], wait["holder_pid"]) == (
        "build-directory", 1500, holder.pk, "ada", None,
    )  # fmt: skip


def test_it_lists_build_directories(get, agent):
    own = make_build_directory(agent, size_bytes=5, shared_bytes=3)
    make_build_directory(key="", parts={}, host=make_host("builder"))

    (found,) = get("/build-directories", repository="ingest")

    assert (found["id"], found["agent"], found["size_bytes"], found["shared_bytes"]) == (
        own.pk,
        agent.name,
        5,
        3,
    )
    assert [row["host"] for row in get("/build-directories")] == ["builder", "local"]
    assert [row["host"] for row in get("/build-directories", limit=1, before=10**18)] == ["builder"]


def test_it_tells_where_a_build_s_time_went_and_why_its_crates_were_built(get):
    build = make_build(None, host=make_host("builder", usable_cpus=4.0))
    units = Unit(0, "core", "1.0.0", duration=8.0, unblocks=(1,)), Unit(1, "app", start=8.0, duration=2.0)
    recording = Recording(units, rebuilds=(Rebuild("core", "1.0.0", "the env variable X changed"),))
    keep_recording(build=build, recording=recording, source=Source.TIMINGS, now=now())

    found = get(f"/builds/{build.pk}/analysis")

    assert [step["unit"] for step in found["critical_path"]] == ["core v1.0.0", "app"]
    assert found["slowest"][1]["waited_for"] == "core v1.0.0"
    assert [(cause["kind"], cause["crates"]) for cause in found["rebuilds"]] == [("environment", 1)]
    assert any("of 4 cores had work" in each["text"] for each in found["suggestions"])


def test_a_build_without_a_recording_has_no_analysis(client):
    client.force_login(make_user("vera", Role.VIEWER))

    assert client.get(f"/api/v1/builds/{make_build(None).pk}/analysis").status_code == 404
    assert client.get("/api/v1/builds/4711/analysis").status_code == 404
