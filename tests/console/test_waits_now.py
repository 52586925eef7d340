"""Waits that go on while one looks."""

from datetime import timedelta

import pytest

from tests.console.test_builds_pages import words_of
from tests.factories import (
    make_build,
    make_host,
    make_lock_wait,
    make_member,
    make_ongoing_wait,
    make_repository,
    make_wave,
    now,
)

pytestmark = pytest.mark.django_db
WAITING = {"state": "waiting", "began_at": None, "ended_at": None, "exit_code": None, "memory_bytes": None}
RUNNING = {"state": "running", "ended_at": None, "exit_code": None, "memory_bytes": None}


@pytest.fixture
def agents(db):
    make_host()
    wave = make_wave("w1", repository=make_repository("ingest"))
    return [make_member(wave) for _ in range(3)]


def waits_now(client, address: str) -> str:
    return words_of(client, address).split('id="builds_waiting"')[1].split("</section>")[0]


@pytest.mark.parametrize("address", ["/builds/", "/builds/waits/"])
def test_it_tells_who_waits_now_and_for_whom(viewer, agents, address):
    holder = make_build(agents[0], **RUNNING)
    make_ongoing_wait(make_build(agents[1], **RUNNING), holder=holder)

    shown = waits_now(viewer, address)

    assert f'<a href="/agents/{agents[1].pk}/">w1/agent-02</a>' in shown
    assert f'<a href="/builds/{holder.pk}/">w1/agent-01</a>' in shown
    assert 'class="kind bad"' in shown


def test_who_waits_for_a_build_directory_comes_first(viewer, agents):
    build = make_build(agents[0], **RUNNING)
    make_ongoing_wait(build, kind="package-cache", began_at=now() - timedelta(minutes=9))
    make_ongoing_wait(build, kind="build-directory", began_at=now())

    shown = waits_now(viewer, "/builds/")

    assert shown.index("build directory") < shown.index("package cache")


def test_those_who_wait_for_slots_are_one_line_for_each_host(viewer, agents):
    for agent in agents:
        make_build(agent, **WAITING)

    shown = waits_now(viewer, "/builds/waits/")

    assert shown.count("<tr>") == 2  # with the head
    assert '<a href="/builds/?host=local&amp;state=waiting">3 builds</a>' in shown


def test_nobody_waits(viewer, agents):
    make_lock_wait(make_build(agents[0]))

    assert "Nobody waits for a lock or a slot now." in words_of(viewer, "/builds/")


def test_a_build_that_is_over_waits_for_nothing_whatever_its_host_said(viewer, agents):
    make_ongoing_wait(make_build(agents[0], state="lost"))

    assert "Nobody waits" in words_of(viewer, "/builds/")


def test_what_a_silent_host_said_last_is_not_of_now(viewer, agents):
    build = make_build(agents[0], **RUNNING)
    make_ongoing_wait(build)
    make_host(heartbeat_at=now() - timedelta(minutes=5))

    assert "Nobody waits" in words_of(viewer, "/builds/")
    assert "under way" in words_of(viewer, f"/builds/{build.pk}/").split("agent-head")[1].split("</p>")[0]


def test_a_build_that_waits_says_so_in_every_list(viewer, agents):
    build = make_build(agents[0], **RUNNING)
    make_ongoing_wait(build)

    for address in ("/builds/", f"/builds/{build.pk}/", f"/agents/{agents[0].pk}/"):
        assert "waits for build directory" in words_of(viewer, address), address


def test_a_wait_that_goes_on_is_a_bar_of_its_build(viewer, agents):
    holder, build = make_build(agents[1], **RUNNING), make_build(agents[0], **RUNNING)
    make_ongoing_wait(build, holder=holder, path="/srv/x/.cargo-lock")

    course = words_of(viewer, f"/builds/{build.pk}/").split('class="card course"')[1].split("</ol>")[0]

    assert 'class="lock"' in course
    assert "/srv/x/.cargo-lock" in course
    assert f'for <a href="/builds/{holder.pk}/">w1/agent-02</a>' in course


def test_who_waited_for_whom_counts_what_goes_on(viewer, agents):
    build = make_build(agents[0], **RUNNING)
    make_ongoing_wait(build, holder_pid=77, began_at=now() - timedelta(seconds=120))

    pairs = words_of(viewer, "/builds/waits/").split('id="build_wait_pairs"')[1]

    assert "a process that is no build" in pairs
    assert "2 min" in pairs


def test_many_are_a_matrix_of_those_who_waited_and_held_most(viewer, agents):
    builds = [make_build(None, who=f"person-{number:02d}") for number in range(14)]
    for number, build in enumerate(builds[1:], start=1):
        make_lock_wait(build, holder=builds[number - 1], ms=1000 * number)

    matrix = words_of(viewer, "/builds/waits/").split('class="matrix"')[1].split("</table>")[0]

    rows = matrix.split("<tbody>")[1].split("<tr>")[1:]
    assert len(rows) == 11
    assert "person-13" in rows[0]
    assert "--heat:100%" in rows[0]
    assert "all others" in rows[10]
    assert "person-03 " not in rows[10]
    assert "--heat" not in rows[10]


def test_what_goes_on_counts_among_the_numbers(viewer, agents):
    build = make_build(agents[0], **RUNNING)
    make_ongoing_wait(build, began_at=now() - timedelta(seconds=120))

    strip = words_of(viewer, "/builds/").split('class="card strip"')[1].split("Waits now")[0]

    assert "<b>2 min</b>" in strip
