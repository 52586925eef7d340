"""A real sccache behind the wrapper that cargo is given."""

import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from apps.builds import places, rustc_wrapper, sccache
from apps.builds.cache_keeper import CacheKeeper
from apps.builds.models import BuildOptions, CompilerCache
from apps.builds.preparing import environments_for
from apps.lib import procfs
from apps.workspaces.models import Workspace
from tests.builds.crates import make_crates
from tests.builds.warm import WarmYard
from tests.factories import make_host

pytestmark = [pytest.mark.needs("cargo"), pytest.mark.needs("sccache")]


@pytest.fixture
def cache(home, settings, monkeypatch):
    """Its server ends with the test."""
    for name in [name for name in os.environ if name.startswith("SCCACHE_")]:
        monkeypatch.delenv(name)
    settings.COMPILER_CACHE_GB = 50
    yield sccache
    rustc_wrapper.stop_own()
    sccache.stop()


@pytest.fixture
def crates(tmp_path):
    return make_crates(tmp_path / "crates", {"base": [], "middle": ["base"]})


# Takes the compiler a second or two.
SLOW = """
#![allow(long_running_const_eval)]
const fn count() -> u64 { let mut n = 0; while n < 5_000_000 { n += 1; } n }
pub const MANY: u64 = count();
pub fn total() -> u64 { MANY }
"""


def compilers_of(pid: int) -> list[int]:
    found = procfs.read_processes().values()
    return [each.pid for each in found if each.ppid == pid and each.comm == "rustc" and each.cpu_ticks > 20]


def build(crates: Path, target: Path, *argv: str, **more: str) -> subprocess.CompletedProcess[bytes]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("CARGO_", "RUSTC_"))}
    environment = plain | {"CARGO_TARGET_DIR": str(target), "RUSTC_WRAPPER": str(rustc_wrapper.path())} | more
    return subprocess.run(
        ["cargo", *(argv or ("build", "--release"))],
        cwd=crates,
        env=environment,
        capture_output=True,
        timeout=120,
    )


def figures(program):
    found = sccache.figures(program)
    assert found is not None
    return found


def until(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)
    return result


@pytest.mark.slow
def test_another_directory_and_other_variables_of_cargo_s_are_hits(cache, crates, tmp_path):
    program = rustc_wrapper.ensure()
    assert build(crates, tmp_path / "one").returncode == 0
    first = figures(program)

    assert build(crates, tmp_path / "two", CARGO_TERM_COLOR="always", CARGO_BUILD_JOBS="1").returncode == 0

    second = figures(program)
    assert (first.hits, first.misses) == (0, 2)
    assert (second.hits, second.misses) == (2, 2)
    assert str(places.compiler_cache() / "files") in second.location


@pytest.mark.slow
def test_without_the_wrapper_s_care_they_would_be_none(cache, crates, tmp_path):
    program = rustc_wrapper.ensure()
    plain = {"RUSTC_WRAPPER": program.path, **cache.client_environment()}
    build(crates, tmp_path / "one", **plain)

    build(crates, tmp_path / "two", **plain)

    assert figures(program).hits == 0


def test_what_rustc_compiles_incrementally_stays_incremental(cache, crates, tmp_path):
    program = rustc_wrapper.ensure()

    build(crates, tmp_path / "one", "build")

    found = figures(program)
    assert (found.hits, found.misses) == (0, 0)
    assert found.reasons["incremental"] == 2
    assert any((tmp_path / "one" / "debug" / "incremental").iterdir())


def test_it_is_no_reason_to_compile_again(cache, crates, tmp_path):
    rustc_wrapper.ensure()
    build(crates, tmp_path / "one")

    again = build(crates, tmp_path / "one", RUSTC_WRAPPER="")

    assert b"Compiling" not in again.stderr


def test_a_server_that_was_killed_costs_no_build(cache, crates, tmp_path):
    rustc_wrapper.ensure()
    os.kill(cache.running(), signal.SIGKILL)

    done = build(crates, tmp_path / "one")

    assert done.returncode == 0
    assert cache.running() is None
    assert [p for p in procfs.read_processes() if is_server(p)] == []


@pytest.mark.slow
def test_a_server_that_is_killed_in_the_middle_costs_no_build(cache, crates, tmp_path):
    rustc_wrapper.ensure()
    pid = cache.running()
    (crates / "base" / "src" / "lib.rs").write_text(SLOW)
    environment = {
        **os.environ,
        "CARGO_TARGET_DIR": str(tmp_path / "one"),
        "RUSTC_WRAPPER": str(rustc_wrapper.path()),
    }
    process = subprocess.Popen(["cargo", "build", "--release", "-q"], cwd=crates, env=environment)
    until(lambda: compilers_of(pid))

    os.kill(pid, signal.SIGKILL)

    assert process.wait(120) == 0


@pytest.mark.slow
def test_the_keeper_starts_it_again_and_tells_of_it(cache, crates, tmp_path, db):
    keeper = CacheKeeper(make_host())
    keeper.look()
    pid = cache.running()
    os.kill(pid, signal.SIGKILL)
    until(lambda: cache.running() is None)

    keeper.look()
    build(crates, tmp_path / "one")
    keeper.tell()

    row = CompilerCache.objects.get()
    assert cache.running() not in (None, pid)
    assert (row.problem, row.hits, row.misses, row.hit_ratio) == ("", 0, 2, 0.0)
    assert row.version == sccache.find().version


def test_it_runs_on_when_its_keeper_ends_and_is_known_again(cache):
    rustc_wrapper.ensure()
    pid = cache.running()

    rustc_wrapper.ensure()

    assert cache.running() == pid


def test_what_is_set_anew_takes_a_new_server(cache, settings):
    rustc_wrapper.ensure()
    pid = cache.running()
    settings.COMPILER_CACHE_GB = 2

    program = rustc_wrapper.ensure()

    assert cache.running() not in (None, pid)
    assert figures(program).most_bytes == 2 * 1024**3


def test_its_server_is_no_agent_s(cache, monkeypatch):
    monkeypatch.setenv("SWARMYARD_RUN", "home.1.1")

    rustc_wrapper.ensure()

    environment = procfs.environment(cache.running())
    assert "SWARMYARD_RUN" not in environment
    assert "RUSTC_WRAPPER" not in environment


@pytest.mark.slow
def test_clearing_it_makes_misses_of_hits(cache, crates, tmp_path):
    rustc_wrapper.ensure()
    build(crates, tmp_path / "one")

    rustc_wrapper.clear()
    program = rustc_wrapper.ensure()
    build(crates, tmp_path / "two")

    assert (figures(program).hits, figures(program).misses) == (0, 2)


def test_too_old_a_one_is_told_of_and_not_used(cache, monkeypatch, tmp_path):
    rustc_wrapper.ensure()
    old = tmp_path / "sccache"
    old.write_text("#!/bin/sh\necho sccache 0.4.0-pre.6\n")
    old.chmod(0o755)
    monkeypatch.setattr(sccache, "candidates", lambda: [str(old)])

    with pytest.raises(sccache.CacheRefused, match=r"0.4.0-pre.6: sccache 0.10 or newer is needed"):
        rustc_wrapper.ensure()

    assert cache.running() is None


def test_switched_off_there_is_none(cache, settings, db):
    settings.COMPILER_CACHE_GB = 0
    keeper = CacheKeeper(make_host())

    keeper.look()

    assert cache.running() is None
    assert CompilerCache.objects.get().problem == "switched off by SWARMYARD_COMPILER_CACHE_GB=0"


@pytest.mark.needs("mounts")
def test_agents_that_see_their_workspaces_at_one_path_have_servers_of_their_own_there(
    cache, tmp_path, db, settings, tmp_path_factory
):
    settings.SWARMYARD_HOME = tmp_path_factory.mktemp("h")  # not too deep for a socket
    places.make_ready()
    program = rustc_wrapper.ensure()
    yard, own = WarmYard(tmp_path), rustc_wrapper.OwnFigures()
    yard.build()
    first, second = yard.agent(), yard.agent()
    assert first.start.view
    assert second.start.view

    assert first.cargo("build", "--release", "--workspace").returncode == 0
    own.look(program)
    one = own.added_to(figures(program))
    rustc_wrapper.stop_own()
    assert second.cargo("build", "--release", "--workspace").returncode == 0
    own.look(program)
    both = own.added_to(figures(program))

    assert (one.hits, one.misses > 0) == (0, True)
    assert (both.hits, both.misses) == (one.misses, one.misses), (
        "the same path, so also its own crates are hits"
    )
    assert figures(program).misses == 0, "the host's server can't see what they compile"

    shutil.rmtree(places.compiler_cache() / "files")  # as another one's eviction, while second's server lives
    for release in second.built.glob("*/release"):
        shutil.rmtree(release)
    assert second.cargo("build", "--release", "--workspace").returncode == 0


def test_a_repository_can_do_without(agent):
    workspace = Workspace.objects.get(agent=agent)
    given = environments_for([workspace])[workspace.pk]

    BuildOptions.objects.create(repository=workspace.repository, compiler_cache=False)

    assert given["SWARMYARD_RUSTC_WRAPPER"] == str(rustc_wrapper.path())
    assert "SWARMYARD_RUSTC_WRAPPER" not in environments_for([workspace])[workspace.pk]


@pytest.fixture
def redis_port(tmp_path):
    """A Redis that listens on a port, as sccache knows no unix sockets of it."""
    import socket

    from tests.conftest import redis_binary

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [redis_binary(), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path), "--save", ""],
        stdout=subprocess.DEVNULL,
    )

    def answers():
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    until(answers)
    yield port, process
    process.kill()
    process.wait()


def test_hosts_share_one_in_redis(cache, crates, tmp_path, settings, redis_port):
    settings.COMPILER_CACHE_URL = f"redis://127.0.0.1:{redis_port[0]}"
    rustc_wrapper.ensure()
    build(crates, tmp_path / "one")
    settings.SWARMYARD_HOME = tmp_path / "another host"
    settings.SWARMYARD_HOME.mkdir()
    places.make_ready()

    program = rustc_wrapper.ensure()
    try:
        build(crates, tmp_path / "two")
        found = figures(program)
    finally:
        cache.stop()
        settings.SWARMYARD_HOME = tmp_path / "home"

    assert (found.hits, found.misses) == (2, 0)
    assert not (tmp_path / "another host" / "builds" / "sccache" / "files").exists()
    with pytest.raises(sccache.CacheRefused, match="shared with other hosts"):
        rustc_wrapper.clear()


def test_a_redis_that_goes_away_costs_no_build(cache, crates, tmp_path, settings, redis_port, db):
    settings.COMPILER_CACHE_URL = f"redis://127.0.0.1:{redis_port[0]}"
    keeper, stop = CacheKeeper(make_host()), threading.Event()
    keeper.begin()
    thread = threading.Thread(target=keep_beginning, args=(keeper, stop))
    thread.start()
    redis_port[1].kill()
    redis_port[1].wait()

    done = build(crates, tmp_path / "one")

    stop.set()
    thread.join(30)
    assert done.returncode == 0
    assert cache.running() is None


def keep_beginning(keeper, stop):
    """What the keeper's own thread does, without its rows."""
    while not stop.wait(0.2):
        if not keeper.is_well():
            keeper.begin()


def test_without_its_redis_it_says_so_and_builds_go_on(cache, crates, tmp_path, settings):
    settings.COMPILER_CACHE_URL = "redis://127.0.0.1:1"

    with pytest.raises(sccache.CacheRefused, match="SWARMYARD_COMPILER_CACHE_URL doesn't answer"):
        rustc_wrapper.ensure()

    assert cache.running() is None


def is_server(process) -> bool:
    return procfs.environment(process).get("SCCACHE_SERVER_UDS", "").startswith(str(places.compiler_cache()))


def test_without_one_it_says_so(home, settings, monkeypatch):
    settings.COMPILER_CACHE_GB = 50
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("sys.executable", "/nowhere/python")

    with pytest.raises(sccache.CacheRefused, match="sccache is not installed"):
        rustc_wrapper.ensure()

    assert shutil.which("sccache") is None
