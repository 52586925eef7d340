"""Waits for locks as the host process measures them, against what those who waited say themselves."""

import fcntl
import json
import os
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from apps.builds import places
from apps.builds.actions import record_waits
from apps.builds.lock_watch import BuildWait
from apps.builds.models import Build, LockWait
from apps.lib.kernel_locks import read_waiting
from tests.builds.test_recorder import ended, until
from tests.builds.yard import make_package, start_cargo

WAITER = """
import fcntl, json, sys, time
file = open(sys.argv[1])
asked = time.monotonic()
fcntl.flock(file, fcntl.LOCK_EX)
print(json.dumps((time.monotonic() - asked) * 1000))
"""


def waiter(lock, name: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-IS", "-c", WAITER, str(lock)],
        env=os.environ | {"SWARMYARD_BUILD": name},
        stdout=subprocess.PIPE,
        text=True,
    )


def of(found: list[BuildWait], lock: Path) -> list[BuildWait]:
    """Tests beside this one have builds that wait, too."""
    return [wait for wait in found if wait.path == str(lock)]


def waits(process: subprocess.Popen[str]) -> bool:
    return process.pid in {each.waiter for each in read_waiting()}


def test_a_wait_is_measured_within_50_ms_of_the_truth(locks, tmp_path):
    lock = tmp_path / ".cargo-lock"
    errors = []
    for turn in range(9):
        with lock.open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            process = waiter(lock, f"build-{turn}")
            until(partial(waits, process), 20)
            time.sleep(0.2)
        truth = json.loads(process.communicate(timeout=20)[0])
        (wait,) = until(lambda: of(locks.taken(), lock), 10)
        assert (wait.build, wait.kind) == (f"build-{turn}", "build-directory")
        errors.append(abs(wait.ms - truth))

    assert statistics.median(errors) < 50


def test_who_waited_for_whom(locks, tmp_path):
    lock = tmp_path / ".package-cache"
    lock.touch()
    holding = subprocess.Popen(
        [sys.executable, "-IS", "-c", WAITER + "\nsys.stdout.flush(); sys.stdin.read()", str(lock)],
        env=os.environ | {"SWARMYARD_BUILD": "holder"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holding.stdout.readline()
    process = waiter(lock, "waiter")
    until(partial(waits, process), 20)
    time.sleep(0.1)
    holding.communicate(timeout=10)
    process.communicate(timeout=10)

    (wait,) = until(lambda: of(locks.taken(), lock), 10)

    assert (wait.build, wait.holder, wait.holder_pid) == ("waiter", "holder", holding.pid)
    assert wait.kind == "package-cache"


@pytest.mark.needs("cargo")
@pytest.mark.parametrize("words", [["-q"], ["--color=always"]])
def test_a_build_s_wait_for_its_directory_is_written_down_however_quiet_cargo_is(
    recorder, agent, tmp_path, words
):
    make_package(agent, tmp_path / "w")
    assert start_cargo(agent, "check", "-q").wait(60) == 0
    ended(recorder)
    Build.objects.all().delete()
    (lock,) = places.directories_of(agent.workspace).glob("*/debug/.cargo-lock")

    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        process = start_cargo(agent, "check", *words)
        until(lambda: str(lock) in {known.path for known in [*recorder.locks._parties.values()]})
        time.sleep(0.4)
    assert process.wait(60) == 0
    build = ended(recorder)

    def written() -> LockWait | None:  # the watch may see its end a moment after the build told its own
        recorder.turn()
        return LockWait.objects.filter(
            kind="build-directory"
        ).first()  # another cargo may hold the package cache

    wait = until(written, 20)
    build.refresh_from_db()
    assert (wait.build, wait.path) == (build, str(lock))
    assert wait.holder_pid == os.getpid()
    assert 300 < wait.ms <= (build.ended_at - build.began_at).total_seconds() * 1000
    assert build.lock_wait_ms == sum(each.ms for each in build.waits.all())


def test_waits_of_what_is_no_build_are_nobody_s(locks, tmp_path):
    lock = tmp_path / "x.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        process = waiter(lock, "")
        time.sleep(0.2)
    process.communicate(timeout=10)
    time.sleep(0.1)

    assert of(locks.taken(), lock) == []


def test_waits_of_builds_that_nobody_reported_are_passed_over(recorder, locks, tmp_path):
    lock = tmp_path / ".cargo-lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        process = waiter(lock, "no-report")
        time.sleep(0.2)
    process.communicate(timeout=10)

    assert record_waits(host=recorder.host, waits=until(locks.taken, 10)) == 0
