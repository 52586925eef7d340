"""Bases: when they are built, by whom, and what is left when that goes wrong."""

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection

from apps.builds import base_actions, base_keeper, places
from apps.builds.actions import builder_of, record_report
from apps.builds.base_builder import build_base, run_of
from apps.builds.bases import NotReady, OnDisk
from apps.builds.models import Base, BuildDirectory
from apps.builds.reports import ReportBox
from apps.capacity import leases
from apps.events.models import Event
from tests.factories import make_host
from tests.workspaces.repositories import git

from .crates import write
from .test_seeding import contents
from .warm import WarmYard, compiled

pytestmark = pytest.mark.needs("cargo", "git", "mounts")
SECOND = timedelta(seconds=1)


@pytest.fixture
def yard(home, db, tmp_path):
    return WarmYard(tmp_path)


@pytest.fixture
def disk(yard):
    return OnDisk(places.base_of(yard.repository))


def is_ready(disk):
    try:
        with disk.to_read(until=time.monotonic()):
            return True
    except NotReady:
        return False


def ensure(yard):
    arguments = {"repository": yard.repository, "host": yard.host, "commit": yard.head, "now": yard.now()}
    return base_actions.ensure_base(**arguments)


# How it is built


def test_it_is_built_at_the_target_s_commit_with_what_agents_use(yard, disk):
    base = yard.build()

    assert (base.state, base.commit, base.problem, base.attempts) == ("ready", yard.head, "", 0)
    assert base.same_path
    assert base.modes[0] == "cargo check --workspace --all-targets"
    assert base.size_bytes > 0
    assert git(disk.workspace, "rev-parse", "HEAD") == yard.head
    assert "Finished" in disk.log.read_text()
    event = Event.objects.get(kind="base.ready")
    assert event.text.startswith(f"base of project on local built at {yard.head[:12]} in ")
    assert git(yard.source, "status", "--porcelain") == ""


@pytest.mark.slow
def test_its_builds_are_reported_with_their_real_paths(yard, disk):
    base = yard.build()

    found = ReportBox(places.reports()).news()
    builds = [record_report(host=yard.host, found=each) for each in found]

    assert [build.arguments.split()[0] for build in builds] == ["check", "test", "build"]
    assert {build.who for build in builds} == {"base of project"}
    assert {build.cwd for build in builds} == {str(disk.workspace)}
    row = BuildDirectory.objects.get()
    assert (row.path, row.repository) == (str(disk.built / disk.keys()[0]), yard.repository)
    assert builder_of(found[0].report).base == base


@pytest.mark.slow
def test_agents_directories_are_reported_with_their_real_paths(yard):
    yard.build()
    for report in places.reports().iterdir():
        report.unlink()
    one, two = yard.agent(), yard.agent()
    for agent in (one, two):
        assert compiled(agent.cargo("check", "--workspace", "--all-targets")) == []

    for found in ReportBox(places.reports()).news():
        record_report(host=yard.host, found=found)

    rows = BuildDirectory.objects.order_by("pk")
    assert [row.path for row in rows] == [str(agent.built / agent.start.keys[0]) for agent in (one, two)]
    assert [(row.builds, row.workspace) for row in rows] == [(1, one.workspace), (1, two.workspace)]


@pytest.mark.slow
def test_only_what_changed_is_built_again(yard, disk):
    yard.build()
    untouched = disk.workspace / "ground" / "src" / "lib.rs"
    before = untouched.stat().st_mtime_ns
    yard.commit("apart/src/lib.rs", "pub fn total() -> u64 { 500 }\n")

    assert yard.build().commit == yard.head

    assert untouched.stat().st_mtime_ns == before
    built_last = disk.log.read_text()
    assert "Compiling apart" in built_last
    assert "Compiling ground" not in built_last
    assert yard.agent().cargo("run", "-q").stdout.split()[0] == "506"


@pytest.mark.slow
def test_files_that_were_changed_in_it_are_as_in_the_commit_again(yard, disk):
    yard.build()
    write(disk.workspace / "apart" / "src" / "lib.rs", "broken")
    (disk.workspace / "middle" / "src" / "lib.rs").unlink()
    index_lock = Path(git(disk.workspace, "rev-parse", "--absolute-git-dir")) / "index.lock"
    index_lock.touch()  # of a git that was killed

    assert yard.build().problem == ""

    assert git(disk.workspace, "status", "--porcelain") == ""


@pytest.mark.slow
def test_a_checkout_that_is_broken_is_made_anew(yard, disk):
    yard.build()
    (disk.workspace / ".git").unlink()

    assert yard.build().problem == ""
    assert git(disk.workspace, "rev-parse", "HEAD") == yard.head


@pytest.mark.slow
def test_own_commands_are_used(yard, disk):
    yard.options(base_commands="cargo check -p ground\n\n")

    assert yard.build().modes == ["cargo check -p ground"]
    assert "middle" not in disk.log.read_text()


@pytest.mark.slow
def test_without_a_view_it_says_so(home, tmp_path, db):
    yard = WarmYard(tmp_path, shown=False)

    assert yard.build().same_path is False


@pytest.mark.slow
def test_it_is_built_from_the_start_after_the_clock_was_set_back(yard, disk):
    yard.build()
    ahead = time.time() + 3600
    stamp = next(disk.built.rglob("invoked.timestamp"))
    os.utime(stamp, (ahead, ahead))

    assert yard.build().state == "ready"

    assert not disk.is_of_the_future()
    assert "Compiling ground" in disk.log.read_text()


# Failures


def test_code_that_does_not_compile_is_told_and_nobody_uses_it(yard, disk):
    yard.build()
    yard.commit("apart/src/lib.rs", 'compile_error!("no");\n')

    base = yard.build()

    assert (base.state, base.commit) == ("failed", yard.head)
    assert base.problem.startswith("cargo check --workspace --all-targets: error: no")
    assert "could not be built" in Event.objects.get(kind="base.failed").text
    assert not is_ready(disk)
    assert "didn't go through" in yard.agent().start.source
    yard.commit("apart/src/lib.rs", "pub fn total() -> u64 { 1 }\n")
    assert yard.build().state == "ready"
    assert yard.agent().start.keys


@pytest.mark.slow
def test_one_that_takes_too_long_is_ended(yard, settings):
    settings.BASE_TIMEOUT_SECONDS = 1
    marker = yard.place / "sleeps"
    script = f'fn main() {{ std::fs::write({str(marker)!r}, "").unwrap(); loop {{ std::thread::park(); }} }}'
    yard.commit("apart/build.rs", script.replace("'", '"'))

    base = yard.build()

    assert base.state == "failed"
    assert "took longer than 1 s" in base.problem


def test_a_repository_without_a_manifest_is_told(yard):
    git(yard.source, "mv", "Cargo.toml", "Other.toml")
    git(yard.source, "commit", "-q", "-m", "gone")

    assert "no Cargo.toml" in yard.build().problem


@pytest.mark.slow
def test_builds_that_go_elsewhere_are_told(yard, tmp_path, monkeypatch):
    monkeypatch.setenv("CARGO_TARGET_DIR", str(tmp_path / "elsewhere"))

    assert "CARGO_TARGET_DIR" in yard.build().problem


def test_a_place_that_can_not_be_written_is_told(yard, disk):
    disk.place.parent.mkdir(parents=True)
    disk.place.write_text("a file in its way")

    base = yard.build()

    assert base.state == "failed"
    assert "File exists" in base.problem or "Not a directory" in base.problem


# When it is built


def test_the_first_agents_have_it_queued_and_the_host_builds_it(yard):
    ensure(yard)
    queued = yard.base
    ensure(yard)
    assert (queued.state, yard.base.state_at) == ("queued", queued.state_at)

    assert base_keeper.build_next(yard.host)

    assert yard.base.state == "ready"
    assert not base_keeper.build_next(yard.host)


def test_bases_of_other_hosts_are_theirs(yard):
    ensure(yard)

    assert not base_keeper.build_next(make_host("other"))


@pytest.mark.slow
def test_a_target_that_moved_is_built_once_it_stands_still(yard):
    yard.build()
    yard.commit("apart/src/lib.rs", "pub fn total() -> u64 { 2 }\n")
    base_keeper.look_at_targets(yard.host, yard.now())
    assert yard.base.wanted == yard.head
    base_actions.keep_bases(yard.now())
    assert yard.base.state == "ready"

    base_actions.keep_bases(yard.now() + base_actions.DEBOUNCE + SECOND)

    assert yard.base.state == "queued"
    base_keeper.build_next(yard.host)
    assert (yard.base.state, yard.base.commit) == ("ready", yard.head)
    base_actions.keep_bases(yard.now() + timedelta(days=1))
    assert yard.base.state == "ready"


def test_targets_are_looked_at_while_somebody_may_need_them(yard):
    ensure(yard)
    later = yard.now() + base_actions.WATCHED + SECOND

    assert base_actions.watched(yard.host, yard.now())
    assert not base_actions.watched(yard.host, later)
    yard.workspace()  # of an agent at work
    assert base_actions.watched(yard.host, later)


def test_one_that_failed_is_tried_again_later_while_it_is_used(yard):
    yard.commit("apart/src/lib.rs", 'compile_error!("no");\n')
    yard.build()
    base_actions.keep_bases(yard.now())
    assert yard.base.state == "failed"

    base_actions.keep_bases(yard.now() + base_actions.TRY_AGAIN + SECOND)

    assert yard.base.state == "queued"


def test_a_build_whose_host_died_is_queued_again_and_at_last_given_up(yard):
    ensure(yard)
    states = []
    for number in range(1, base_actions.ATTEMPTS + 1):
        assert base_actions.begin_build(base=yard.base, now=yard.now())
        base_actions.keep_bases(yard.now() + number * timedelta(minutes=1))
        states.append(yard.base.state)

    assert states == ["queued", "queued", "failed"]
    assert "cut off 3 times" in yard.base.problem


def test_one_whose_build_goes_on_is_left_alone(yard):
    base = ensure(yard)
    leases.acquire(name=base_actions.lease_of(base), holder="another", now=yard.now(), seconds=3600)
    base_actions.begin_build(base=base, now=yard.now())

    base_actions.keep_bases(yard.now() + timedelta(minutes=1))

    assert not build_base(yard.base)
    assert yard.base.state == "building"


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_the_host_s_process_builds_what_is_queued_until_it_ends(yard, monkeypatch):
    monkeypatch.setattr(base_keeper, "TURN_SECONDS", 0.05)
    stop = threading.Event()
    base_keeper.start(yard.host, stop)
    try:
        ensure(yard)
        until(lambda: yard.base.state == "ready")
    finally:
        stop.set()
        until(lambda: "builds bases" not in [thread.name for thread in threading.enumerate()])


# Killed

BUILDER = """
import os, sys, django
os.environ["DJANGO_SETTINGS_MODULE"] = "controlplane.settings"
django.setup()
from apps.builds.base_builder import BaseBuilder
from apps.builds.models import Base, BuildOptions
from apps.fleet.models import Host
from apps.workspaces.models import Repository
repository = Repository(pk=int(sys.argv[1]), name="project", path=sys.argv[2], target="main")
base = Base(pk=1, repository=repository, host=Host(name="local"), wanted=sys.argv[3])
BaseBuilder(base, sys.argv[3], BuildOptions(), is_shown=True).build()
"""


def start_builder(yard, home):
    environment = {**os.environ, "SWARMYARD_HOME": str(home)}
    words = [sys.executable, "-c", BUILDER, str(yard.repository.pk), str(yard.source), yard.head]
    root = Path(__file__).parents[2]
    return subprocess.Popen(words, cwd=root, env=environment, stdout=subprocess.PIPE, text=True)


def marked(yard):
    """Processes of a build of the base, by what their environment says."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if str(yard.place).encode() in environment and b"SWARMYARD_BUILD_PATIENT" in environment:
                found.append(int(entry.name))
    return found


def until(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


@pytest.mark.slow
def test_a_builder_that_is_killed_leaves_no_base_and_no_process(yard, disk, home):
    yard.build()
    started = yard.place / "started"
    script = (
        f'fn main() {{ let at = std::path::Path::new("{started}"); if !at.exists() {{ std::fs::write(at, "").unwrap(); '
        "std::thread::sleep(std::time::Duration::from_secs(600)); } }\n"
    )
    yard.commit("apart/build.rs", script)
    with start_builder(yard, home) as builder:
        until(started.exists)
        builder.kill()

    assert not is_ready(disk)
    assert "didn't go through" in yard.agent().start.source

    for pid in marked(yard):  # the build script itself is nobody's child now
        if Path(f"/proc/{pid}/comm").read_text().startswith("build-script"):
            os.kill(pid, signal.SIGKILL)
    until(lambda: not marked(yard))
    assert yard.build().state == "ready"
    agent = yard.agent()
    assert compiled(agent.cargo("build", "--workspace")) == []
    assert agent.cargo("run", "-q").stdout.split()[0] == "7"


@pytest.mark.parametrize("delay", [0.05, 0.15, 0.4])
@pytest.mark.slow
def test_killed_anywhere_the_next_build_is_whole(yard, disk, home, delay):
    with start_builder(yard, home) as builder:
        until(lambda: disk.place.exists() or builder.poll() is not None)
        time.sleep(delay)  # wherever it is then
        builder.kill()
    until(lambda: not marked(yard))
    if is_ready(disk):  # what is there to be used is whole, also where it was killed
        assert compiled(yard.agent().cargo("build", "--workspace")) == []

    assert yard.build().state == "ready"

    assert compiled(yard.agent().cargo("build", "--workspace")) == []


# Two at once


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_two_at_once_build_it_once(yard, disk):
    ensure(yard)
    rows = [yard.base, yard.base]

    def build(base):
        build_base(base)
        connection.close()

    threads = [threading.Thread(target=build, args=(base,)) for base in rows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    assert Event.objects.filter(kind="base.ready").count() == 1
    assert Base.objects.get().state == "ready"


@pytest.mark.slow
def test_agents_that_are_being_made_are_waited_for(yard, disk, monkeypatch):
    yard.build()
    monkeypatch.setattr("apps.builds.base_builder.LOCK_SECONDS", 0.2)
    with disk.to_read(until=time.monotonic()):
        base = yard.build()

    assert (base.state, base.problem) == ("failed", "agents' build directories are being made from it")
    assert is_ready(disk)


@pytest.mark.slow
def test_nothing_in_the_base_changes_while_directories_are_made_from_it(yard, disk):
    yard.build()
    before = contents(disk.built)

    yard.agent()

    assert contents(disk.built) == before
    assert run_of(yard.base).endswith(f".base-{yard.base.pk}.0")
