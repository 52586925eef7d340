"""Who waited for whom, and when, told from waits whose answer is known."""

from datetime import UTC, datetime, timedelta

import pytest

from apps.builds.actions import forget_old_builds
from apps.builds.domain.waiting import Party, Wait, lines, pairs
from apps.builds.domain.words import exit_words
from apps.builds.models import LockWait
from apps.builds.queries import BuildFilter, times_of, waited_by_kind, waits_since
from tests.factories import make_agent, make_build, make_lock_wait, make_repository, make_workspace

ADA, BOB = Party(1, "w1/agent-01"), Party(2, "w1/agent-02")
NOW = datetime.now(UTC)


def wait(began: float, seconds: float, waiter=ADA, holder=BOB, kind="build-slot") -> Wait:
    return Wait(kind, began, seconds * 1000, waiter, holder)


def test_waits_of_one_for_another_are_one_line():
    found = pairs([wait(0, 1), wait(5, 3), wait(0, 2, holder=ADA, waiter=BOB), wait(0, 9, kind="vcs")])

    assert [
        (pair.waiter, pair.holder, pair.kind, pair.count, pair.ms, pair.longest_ms) for pair in found
    ] == [
        (ADA, BOB, "vcs", 1, 9000, 9000),
        (ADA, BOB, "build-slot", 2, 4000, 3000),
        (BOB, ADA, "build-slot", 1, 2000, 2000),
    ]


def test_processes_that_are_no_builds_are_one_holder():
    found = pairs([wait(0, 1, holder=Party(None, "", pid)) for pid in (11, 12, 0)])

    assert [(pair.holder.is_known, bool(pair.holder.pid), pair.count) for pair in found] == [
        (False, True, 2),
        (False, False, 1),
    ]


def test_a_wait_is_spread_over_the_time_that_it_took():
    found = lines([wait(9, 12), wait(15, 1, kind="vcs")], (0.0, 10.0, 20.0, 30.0))

    assert found == {"build-slot": [1.0, 10.0, 1.0], "vcs": [0.0, 1.0, 0.0]}


@pytest.mark.parametrize(("began", "seconds"), [(-50, 20), (40, 5), (5, 0)])
def test_a_wait_outside_of_the_time_is_in_no_line(began, seconds):
    assert lines([wait(began, seconds)], (0.0, 10.0, 20.0)) == {}


def test_one_that_reaches_into_the_time_counts_from_its_edge():
    assert lines([wait(-50, 1000)], (0.0, 10.0, 20.0)) == {"build-slot": [10.0, 10.0]}


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (None, ""), (0, "exit code 0"), (1, "exit code 1"), (101, "exit code 101 (the tool failed)"),
        (-9, "SIGKILL (killed)"), (-15, "SIGTERM (asked to end)"), (-31, "SIGSYS"), (-99, "signal 99"),
    ],
)  # fmt: skip
def test_how_a_build_ended_in_words(code, words):
    assert exit_words(code) == words


@pytest.mark.django_db
def test_rows_tell_who_waited_for_whom():
    holder, waiter = (make_build(make_agent(f"w1/agent-0{number}")) for number in (1, 2))
    make_lock_wait(waiter, holder=holder, began_at=NOW - timedelta(seconds=10), ms=4000)
    make_lock_wait(waiter, holder_pid=77, began_at=NOW - timedelta(seconds=70), ms=15_000)
    make_lock_wait(waiter, began_at=NOW - timedelta(seconds=90), ms=1000)  # over before the minute began

    found = waits_since(NOW - timedelta(seconds=60))

    assert [(each.waiter.name, each.holder.name, each.holder.pid) for each in found] == [
        ("w1/agent-02", "w1/agent-01", 0),
        ("w1/agent-02", "", 77),
    ]


@pytest.mark.django_db
def test_waits_are_summed_by_kind_for_those_who_are_asked_for():
    agent = make_agent("w1/agent-01")
    make_lock_wait(make_build(agent), ms=100)
    make_lock_wait(make_build(agent), ms=200, kind="vcs")
    make_lock_wait(make_build(make_agent("w2/agent-01")), ms=400)
    since = NOW - timedelta(minutes=5)

    assert waited_by_kind(BuildFilter(), since) == {"build-directory": 500, "vcs": 200}
    assert waited_by_kind(BuildFilter(wave="w1"), since) == {"build-directory": 100, "vcs": 200}
    assert waited_by_kind(BuildFilter(), datetime.now(UTC)) == {}


@pytest.mark.django_db
def test_waits_of_agents_git_are_told_and_summed_with_those_of_builds():
    waiter, holder = make_agent("w1/agent-01"), make_agent("w1/agent-02")
    make_workspace(waiter, repository=make_repository("ingest"))
    fields = {"kind": "vcs", "began_at": NOW - timedelta(seconds=10)}
    LockWait.objects.create(agent=waiter, holder_agent=holder, holder_pid=7, ms=100, **fields)
    LockWait.objects.create(agent=waiter, holder_pid=7, ms=20, **fields)
    since = NOW - timedelta(minutes=5)

    pairs = {(each.waiter.name, each.holder.name, each.holder.pid) for each in waits_since(since)}

    assert pairs == {("w1/agent-01", "w1/agent-02", 0), ("w1/agent-01", "", 7)}
    for chosen in (
        {},
        {"wave": "w1"},
        {"who": waiter.pk},
        {"repository": "ingest"},
        {"host": waiter.host.name},
    ):
        assert waited_by_kind(BuildFilter(**chosen), since) == {"vcs": 120}
    for chosen in ({"wave": "w2"}, {"who": holder.pk}, {"repository": "x"}, {"host": "x"}, {"mode": "check"}):
        assert waited_by_kind(BuildFilter(**chosen), since) == {}


@pytest.mark.django_db
def test_waits_of_git_are_forgotten_when_builds_are():
    agent = make_agent("w1/agent-01")
    for days in (1, 400):
        LockWait.objects.create(agent=agent, kind="vcs", began_at=NOW - timedelta(days=days), ms=1)

    forget_old_builds(now=NOW, limit=10)

    assert [(NOW - wait.began_at).days for wait in LockWait.objects.all()] == [1]


@pytest.mark.django_db
def test_times_are_of_builds_that_came_to_their_own_end():
    agent = make_agent("w1/agent-01")
    make_workspace(agent, repository=make_repository("ingest"))
    make_build(agent)
    for state in ("killed", "lost"):
        make_build(agent, state=state)
    make_build(agent, state="running", ended_at=None)
    make_build(agent, asked_at=NOW - timedelta(hours=2))
    since = NOW - timedelta(minutes=5)

    assert times_of(BuildFilter(), since) == [8.0]
    assert times_of(BuildFilter(repository="ingest", mode="check"), since) == [8.0]
    assert times_of(BuildFilter(repository="other"), since) == []
