"""Waits that go on, as the host process tells them before they are over."""

import fcntl
import os

import pytest

from apps.builds import places
from apps.builds.actions import record_ongoing
from apps.builds.lock_watch import BuildWait
from apps.builds.models import Build, LockWait, OngoingWait
from apps.builds.recorder import Recorder
from tests.builds.test_lock_watch import waiter
from tests.builds.test_recorder import NAME, ended, leave, report, until
from tests.builds.yard import make_package, start_cargo
from tests.factories import make_build, make_host, make_ongoing_wait


def told(recorder) -> list[OngoingWait]:
    recorder.turn()
    return list(OngoingWait.objects.select_related("build", "holder"))


@pytest.mark.needs("cargo")
@pytest.mark.slow
def test_a_wait_is_told_while_it_goes_on_and_is_a_wait_like_all_others_when_it_is_over(
    recorder, agent, tmp_path
):
    make_package(agent, tmp_path / "w")
    assert start_cargo(agent, "check", "-q").wait(60) == 0
    ended(recorder)
    Build.objects.all().delete()
    (lock,) = places.directories_of(agent.workspace).glob("*/debug/.cargo-lock")

    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        process = start_cargo(agent, "check", "-q")
        (wait,) = until(lambda: told(recorder))
        assert (wait.build.agent, wait.kind, wait.holder_pid) == (agent, "build-directory", os.getpid())
        assert wait.path == str(lock)
        assert not LockWait.objects.exists()
    assert process.wait(60) == 0
    build = ended(recorder)

    assert told(recorder) == []
    assert LockWait.objects.get().build == build
    assert LockWait.objects.get().ms >= 500


def test_it_is_written_once_and_names_the_build_that_holds_it_up(recorder, locks, tmp_path):
    lock = tmp_path / ".package-cache"
    leave(report(pid=os.getpid(), began_at=1_700_000_000.5))
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        process = waiter(lock, NAME)
        (first,) = until(lambda: told(recorder))
        (second,) = told(recorder)
    process.communicate(timeout=20)

    assert first.pk == second.pk
    assert first.build.report == NAME
    assert until(lambda: not told(recorder))


def test_none_outlives_the_host_process_that_told_it(recorder):
    """The next one writes down what it sees itself."""
    build = make_build(None, host=recorder.host, state="running", ended_at=None)
    make_ongoing_wait(build)
    elsewhere = make_ongoing_wait(make_build(None, host=make_host("builder"), state="running", ended_at=None))

    Recorder(recorder.host, recorder.locks).turn()

    assert list(OngoingWait.objects.all()) == [elsewhere]


def test_a_build_that_has_ended_waits_for_nothing(recorder):
    build = make_build(None, host=recorder.host)
    wait = BuildWait(build.report, "package-cache", "/x/.package-cache", "", 7, 1_700_000_000.0, 900.0)

    record_ongoing(host=recorder.host, waits=[wait])

    assert not OngoingWait.objects.exists()
