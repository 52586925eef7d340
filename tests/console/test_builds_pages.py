"""What the pages of builds say."""

from datetime import timedelta

import pytest

from apps.builds.models import HostSlots
from apps.console.builds.numbers import percentile
from apps.console.builds.rows import took_text
from tests.factories import (
    make_agent,
    make_alert,
    make_build,
    make_build_directory,
    make_host,
    make_lock_wait,
    make_member,
    make_repository,
    make_wave,
    now,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def agents(db):
    make_host()
    wave = make_wave("w1", repository=make_repository("ingest"))
    return [make_member(wave) for _ in range(3)]


def words_of(client, address: str) -> str:
    """What a page shows, with plain blanks."""
    answer = client.get(address)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().replace("\u202f", " ").split())


def test_it_lists_what_was_built_by_whom_and_how_that_went(viewer, agents):
    make_build(agents[0], arguments="test -p <ingest>", state="failed", exit_code=101, slot_wait_ms=1500.0)
    make_build(None, who="ada", arguments="build --release", state="killed", exit_code=-9, memory_bytes=None)

    page = words_of(viewer, "/builds/")

    assert "cargo test -p &lt;ingest&gt;" in page
    assert "exit code 101 (the tool failed)" in page
    assert f'<a href="/agents/{agents[0].pk}/">w1/agent-01</a>' in page
    assert 'title="slot 1.5 s">1.5 s' in page
    assert "SIGKILL (killed)" in page
    assert "300 MB" in page
    assert "8.0 s" in page


def test_what_was_not_reported_is_no_zero(viewer, agents):
    make_build(agents[0], state="waiting", began_at=None, ended_at=None, exit_code=None, memory_bytes=None)
    make_build(agents[1], state="lost", exit_code=None, memory_bytes=None)

    page = words_of(viewer, "/builds/")

    cells = page.split("<tbody>")[-1]
    assert cells.count('<td class="num memory">–</td>') == 2
    assert cells.count('<td class="num took"> – </td>') == 2
    assert cells.count('title=""><time datetime=') == 1  # it still waits: the page says since when
    assert cells.count('title="">0</td>') == 1  # the lost one waited for nothing


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("", {1, 2, 3, 4}),
        ("agent={agent}", {1}),
        ("wave=w1", {1, 2, 3}),
        ("mode=release", {2}),
        ("state=failed", {3}),
        ("state=open", {4}),
        ("repository=ingest", {1, 2, 3}),
        ("host=builder", {4}),
        ("wave=w1&state=passed&mode=check", {1}),
        ("state=nonsense&mode=%3Cb%3E", {1, 2, 3, 4}),
        ("wave=w9", set()),
    ],
)
def test_the_address_says_which_builds_are_listed(viewer, agents, query, numbers):
    make_build(agents[0], arguments="build-1")
    make_build(agents[1], arguments="build-2", mode="release")
    make_build(agents[2], arguments="build-3", state="failed")
    make_build(None, arguments="build-4", state="running", ended_at=None, host=make_host("builder"))

    page = words_of(viewer, f"/builds/?{query.format(agent=agents[0].pk)}")

    assert {number for number in range(1, 5) if f">cargo build-{number}</a>" in page} == numbers
    assert ("No build matches the filter" in page) is (not numbers)


def test_without_a_build_there_is_nothing_to_know(viewer):
    page = words_of(viewer, "/builds/")

    assert "No build was reported yet" in page
    strip = page.split('class="card strip"')[1].split('class="search"')[0]
    assert strip.count("<b>–</b>") == 5  # both times, and the wait by three kinds
    assert "slots not told yet" in strip


def test_the_numbers_are_of_the_span(viewer, agents):
    HostSlots.objects.create(host=agents[0].host, slots=4, told_at=now())
    for seconds in (2, 4, 30):
        asked_at = now() - timedelta(seconds=60)
        make_build(agents[0], asked_at=asked_at, ended_at=asked_at + timedelta(seconds=seconds))
    make_lock_wait(make_build(agents[1], state="running", ended_at=None), ms=3400)
    make_lock_wait(make_build(agents[1], asked_at=now() - timedelta(hours=3)), ms=99_000)

    strip = words_of(viewer, "/builds/").split('class="card strip"')[1].split('class="search"')[0]

    assert "of 4 slots" in strip
    assert "<b>4.0 s</b>" in strip  # the median
    assert "<b>30 s</b>" in strip  # the 95th percentile
    assert "<b>3.4 s</b>" in strip  # for a build directory
    assert strip.count("<b>0</b>") == 3  # nobody waits now, and none did for the package cache or a slot


def test_the_page_of_a_build_tells_its_waits_and_for_whom(viewer, agents):
    holder = make_build(agents[1])
    build = make_build(
        agents[0], directory=make_build_directory(agents[0]), slot_wait_ms=4000.0, lock_wait_ms=2000.0,
        state="killed", exit_code=-15,
    )  # fmt: skip
    make_lock_wait(build, kind="build-slot", holder=holder, ms=4000, path="")
    make_lock_wait(build, kind="package-cache", holder_pid=99, path="/srv/.cargo/.package-cache")

    page = words_of(viewer, f"/builds/{build.pk}/")

    assert f'for <a href="/builds/{holder.pk}/">w1/agent-02</a>' in page
    assert "for process 99, which is no build" in page
    assert "/srv/.cargo/.package-cache" in page
    assert "SIGTERM (asked to end)" in page
    assert "8.0 s in all, of which it waited 75 %." in page
    assert build.directory.path in page


def test_a_build_with_very_many_waits_says_how_many_are_left_out(viewer, agents):
    build = make_build(agents[0])
    for number in range(103):
        make_lock_wait(build, path=f"/srv/lock-{number}.")

    page = words_of(viewer, f"/builds/{build.pk}/")

    assert page.count("/srv/lock-") == 100
    assert "and 3 more waits" in page


def test_the_page_of_a_build_tells_who_waited_for_it(viewer, agents):
    holder, waiter = make_build(agents[1]), make_build(agents[0])
    make_lock_wait(waiter, holder=holder, ms=2500)

    page = words_of(viewer, f"/builds/{holder.pk}/")

    assert "Who waited for it" in page
    assert f'<a href="/builds/{waiter.pk}/">w1/agent-01</a>' in page


@pytest.mark.parametrize("state", ["waiting", "running", "passed", "failed", "killed", "lost"])
def test_a_build_in_any_state_has_a_page(viewer, agents, state):
    open_ones = {"waiting": {"began_at": None, "ended_at": None}, "running": {"ended_at": None}}
    build = make_build(agents[0], state=state, exit_code=None, **open_ones.get(state, {}))

    assert "Course" in words_of(viewer, f"/builds/{build.pk}/")


def test_there_is_no_page_of_a_build_that_is_none(viewer):
    assert viewer.get("/builds/17/").status_code == 404
    assert viewer.get("/live/build_shown/?pk=17").status_code == 404


def test_it_tells_who_waited_for_whom(viewer, agents):
    first, second, third = (make_build(agent) for agent in agents)
    make_lock_wait(second, holder=first, ms=2000)
    make_lock_wait(second, holder=first, ms=500)
    make_lock_wait(third, kind="package-cache", holder_pid=99, ms=1000)

    page = words_of(viewer, "/builds/waits/")

    rows = [row.split("</tr>")[0] for row in page.split("<tbody>")[1].split("<tr>")[1:]]
    assert [(f"?agent={agents[1].pk}" in row, "2.5 s" in row) for row in rows] == [
        (True, True),
        (False, False),
    ]
    assert "a process that is no build" in rows[1]
    assert "&quot;build directory&quot;" in page  # of the chart


def test_without_waits_it_says_so(viewer):
    assert "No build waited for a lock over 5 min" in words_of(viewer, "/builds/waits/")


def test_it_lists_build_directories(viewer, agents):
    make_build_directory(
        agents[0], size_bytes=3 * 1024**3, shared_bytes=1024**3, sized_at=now(), warm_source="base of ingest",
        parts={"toolchain": "1.95", "flags": "-C opt-level=1"},
    )  # fmt: skip
    make_build_directory(path="/home/ada/target", key="", parts={})

    page = words_of(viewer, "/builds/directories/")

    assert "flags -C opt-level=1, toolchain 1.95" in page
    assert ">3.0 GB</td>" in page
    assert ">1.0 GB</td>" in page
    assert "base of ingest" in page
    assert "chosen by its user" in page
    row = page.split("/home/ada/target")[1]
    assert '<td class="num" data-label="Size" >–</td>' in row


def test_a_host_tells_its_slots_and_builds(viewer, agents):
    host = agents[0].host
    make_build(agents[0], state="running", ended_at=None)
    make_build(agents[1], state="waiting", began_at=None, ended_at=None)
    assert "under way" not in words_of(viewer, "/hosts/")

    HostSlots.objects.create(host=host, slots=2, told_at=now())

    assert '<a href="/builds/?host=local">1 under way, 1 waiting; 2 slots</a>' in words_of(viewer, "/hosts/")


def test_an_agent_tells_its_newest_builds(viewer, agents):
    for number in range(9):
        make_build(agents[0], arguments=f"build-{number}", asked_at=now() + timedelta(seconds=number))
    make_build(agents[1], arguments="of-another")

    page = words_of(viewer, f"/agents/{agents[0].pk}/")

    assert [number for number in range(9) if f">cargo build-{number}</a>" in page] == [3, 4, 5, 6, 7, 8]
    assert "of-another" not in page
    assert f'href="/builds/?agent={agents[0].pk}"' in page


def test_the_menu_counts_builds_under_way(viewer, agents):
    make_build(agents[0], state="running", ended_at=None)
    make_build(agents[1])

    entry = (
        words_of(viewer, "/builds/")
        .split('<a href="/builds/" aria-current="page">Builds')[1]
        .split("</a>")[0]
    )

    assert '<span class="count ">1</span>' in entry


def test_the_list_is_paged_and_bounded(viewer, agents, monkeypatch):
    monkeypatch.setattr("apps.console.builds.fragments.MOST", 60)
    for number in range(70):
        make_build(agents[0], arguments=f"build-{number}.", asked_at=now() + timedelta(seconds=number))

    first, second = words_of(viewer, "/builds/"), words_of(viewer, "/builds/?page=2")

    assert "build-69." in first
    assert "build-19." not in first
    assert "build-19." in second
    assert "build-9." not in second
    assert "The newest 60 are listed" in second


def test_an_alert_about_lock_wait_leads_to_who_waits_for_whom(viewer):
    make_alert("lock-wait", pk=9_000_001)

    page = words_of(viewer, "/alerts/9000001/")

    assert 'href="/builds/waits/"' in page
    assert 'href="/builds/directories/"' in page


def test_what_a_stranger_named_is_shown_as_text(viewer):
    make_build(make_agent("w0/agent-001"), arguments='"><script>x</script>', cwd="<b>", who="<i>", tool="<u>")

    page = viewer.get("/builds/").content.decode()

    assert "<script>x" not in page
    assert "<u>" not in page


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (0, "0"), (0.0004, "0"), (0.0312, "31 ms"), (3.44, "3.4 s"), (42, "42 s"), (600, "10 min")],
)
def test_times_are_short(seconds, text):
    assert took_text(seconds).replace("\u202f", " ") == text


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([], 0.5, None), ([7.0], 0.95, 7.0), ([1, 2, 3, 4], 0.5, 2), (list(range(1, 101)), 0.95, 95)],
)
def test_percentiles_are_of_the_nearest_rank(values, share, expected):
    assert percentile(values, share) == expected
