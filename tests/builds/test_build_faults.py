"""What goes wrong around the builds of a yard: agents build all the same, what they build is right, and it is told."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from apps.builds import places, rustc_wrapper, sccache
from apps.builds.models import Build, LockWait
from apps.builds.recorder import Recorder
from apps.builds.seeding import SEEDING
from apps.builds.warming import Warmth
from tests.needs import own_mounts
from tests.workspaces.repositories import git

from .crates import write
from .test_recorder import leave, report, until
from .test_seeding import contents
from .test_warm_start import vendor
from .warm import WarmYard, compiled

pytestmark = pytest.mark.needs("cargo", "git", "mounts")
ROOT = Path(__file__).parents[2]
OF_ITS_OWN = ["apart", "app", "ground", "middle"]


@pytest.fixture
def yard(home, db, tmp_path):
    return WarmYard(tmp_path)


@pytest.fixture(params=["", "/".join(["long" * 12] * 6)], ids=["spaces and umlauts", "300 characters"])
def odd_yard(request, settings, db):
    """Its home, its repository and so all that agents see have such a path."""
    with tempfile.TemporaryDirectory(prefix="yard with späces ") as root:
        place = Path(root) / request.param
        settings.SWARMYARD_HOME = place / "home"
        settings.SWARMYARD_HOME.mkdir(parents=True)
        places.make_ready()
        yield WarmYard(place)


@pytest.mark.slow
def test_at_paths_with_spaces_or_of_300_characters_agents_begin_warm(odd_yard):
    assert odd_yard.build().state == "ready", odd_yard.base.problem

    agent = odd_yard.agent()

    assert compiled(agent.cargo("build", "--workspace")) == []
    agent.edit("middle/src/lib.rs", "pub fn total() -> u64 { ground::total() * 100 }\n")
    assert compiled(agent.cargo("build", "--workspace")) == ["middle", "app"]
    assert agent.cargo("run", "-q").stdout.split()[0] == "501"


@pytest.mark.slow
@pytest.mark.needs("sccache")
def test_at_such_paths_there_is_a_compiler_cache_or_it_is_told_why_not(odd_yard, settings):
    settings.COMPILER_CACHE_GB = 1
    is_long = len(str(odd_yard.place)) > 300
    odd_yard.options(same_path=False)
    agent = odd_yard.agent()
    try:
        if is_long:
            with pytest.raises(sccache.CacheRefused, match="set SWARMYARD_HOME to a shorter path"):
                rustc_wrapper.ensure()
        program = sccache.installed() if is_long else rustc_wrapper.ensure()
        assert sorted(compiled(agent.cargo("build", "--release"))) == OF_ITS_OWN
        figures = sccache.figures(program)
    finally:
        sccache.stop()

    assert (figures.misses if figures else 0) == (0 if is_long else 3)


@pytest.mark.needs("sccache")
@pytest.mark.slow
def test_what_only_an_agent_sees_is_not_compiled_by_a_server_that_does_not(yard, settings):
    """Neither builds of a base, nor crates of others, nor release builds."""
    settings.COMPILER_CACHE_GB = 1
    vendor(yard.source)
    yard.commit("README", "with a crate of somebody else")
    cold = yard.agent()
    try:
        program = rustc_wrapper.ensure()
        assert yard.build().state == "ready", yard.base.problem
        agent = yard.agent()
        done = [each.cargo("run", "-q", *words) for each in (cold, agent) for words in ((), ("--release",))]
        figures = sccache.figures(program)
    finally:
        rustc_wrapper.stop_own()
        sccache.stop()

    assert [each.stdout.split()[:1] for each in done] == [["8"]] * 4, [each.stderr for each in done]
    assert (figures.hits, figures.misses) == (0, 0)


@pytest.mark.slow
@pytest.mark.needs("sccache")
@pytest.mark.parametrize("by", ["variable", "file", "itself"])
def test_a_compiler_cache_of_the_user_gives_no_agent_what_another_wrote(yard, monkeypatch, by):
    """Its server is started by the first one that asks, and sees what that one sees."""
    program = sccache.installed()
    own = {"SCCACHE_DIR": str(yard.place / "cache")}
    if by == "file":
        write(yard.source / ".cargo" / "config.toml", f'[build]\nrustc-wrapper = "{program.path}"\n')
        yard.commit("README", "with a compiler cache")
    else:
        own["RUSTC_WRAPPER"] = program.path
    if by == "variable":
        monkeypatch.setenv("RUSTC_WRAPPER", program.path)
    agents = [yard.agent() for _ in range(2)]
    agents[1].edit("apart/src/lib.rs", "pub fn total() -> u64 { 40 }\n")
    for agent in agents:
        agent.environment = {"SCCACHE_SERVER_UDS": str(yard.place / "socket")} | agent.environment | own

    try:
        done = [agent.cargo("run", "-q", "--release") for agent in agents]
    finally:
        for agent in agents:
            agent.do(program.path, "--stop-server")

    assert [bool(agent.start.view) for agent in agents] == [by == "itself"] * 2
    assert [each.stdout.split()[:1] for each in done] == [["7"], ["46"]], [each.stderr for each in done]


@pytest.mark.parametrize("shown", [True, False], ids=["at one path", "each at its own"])
@pytest.mark.slow
def test_where_a_shared_directory_takes_broken_code_for_fresh_an_agent_s_own_does_not(
    home, db, tmp_path, shown
):
    yard = WarmYard(tmp_path, shown=shown)
    first, second, shared = yard.agent(), yard.agent(), tmp_path / "shared"
    second.edit("apart/src/lib.rs", 'compile_error!("no");\n')
    same = (first.path / "apart/src/lib.rs").stat()
    os.utime(second.path / "apart/src/lib.rs", ns=(same.st_atime_ns, same.st_mtime_ns))
    together = ["check", "--target-dir", str(shared), "-p", "apart"]
    assert [first.cargo("check").returncode, first.cargo(*together).returncode] == [0, 0]

    taken_for_fresh, own = second.cargo(*together), second.cargo("check", "-p", "apart")

    assert taken_for_fresh.returncode == 0
    assert own.returncode == 101
    assert "error: no" in own.stderr


@pytest.mark.slow
def test_the_strict_scheme_begins_warm_until_the_lock_file_changes(yard):
    yard.options(scheme="strict")
    yard.build()
    agent = yard.agent()

    before = [compiled(agent.cargo(*words)) for words in (["check"], ["build"], ["test", "--no-run"])]
    with (agent.path / "Cargo.lock").open("a") as file:
        file.write("\n")

    assert before == [[], [], []]
    assert sorted(compiled(agent.cargo("check"))) == OF_ITS_OWN


# At the tenth file of the base that it opens, somebody kills it.
KILLED_WHILE_SEEDING = """
import os, signal, sys
from pathlib import Path
from apps.builds.seeding import seed
opened = []
def watch(event, about):
    if event == "open" and str(about[0]).startswith(sys.argv[1]) and not str(about[0]).endswith(".cargo-lock"):
        opened.append(about)
        if len(opened) == 10:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(watch)
seed(Path(sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.mark.slow
def test_a_directory_whose_making_was_killed_in_the_middle_is_made_anew(yard):
    yard.build()
    base = places.base_of(yard.repository) / "built"
    (key,) = (path.name for path in base.iterdir())
    workspace = yard.workspace()
    target = places.directories_of(workspace) / key
    target.parent.mkdir(parents=True)
    words = [sys.executable, "-c", KILLED_WHILE_SEEDING, str(base / key), str(target)]
    assert subprocess.run(words, cwd=ROOT, timeout=60).returncode == -signal.SIGKILL
    half = contents(target.with_name(key + SEEDING))

    start = Warmth([workspace]).start_of(workspace)

    assert 0 < len(half) < len(contents(base / key))
    assert start.keys == [key]
    assert contents(target) == contents(base / key)
    assert not target.with_name(key + SEEDING).exists()


@pytest.mark.slow
def test_a_base_for_which_the_disk_is_too_small_says_so_and_is_built_when_there_is_room(yard):
    small = yard.place / "small"
    small.mkdir()
    words = [
        sys.executable,
        "-m",
        "tests.builds.base_on_a_small_disk",
        str(small),
        str(yard.source),
        yard.head,
    ]

    done = subprocess.run([*own_mounts(), *words], cwd=ROOT, capture_output=True, timeout=100)

    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout)
    assert "No space left" in told["problem"]
    assert told["ready"] is False
    assert told["again"] == ""


@pytest.mark.slow
@pytest.mark.parametrize("ignored", [True, False])
def test_a_repository_without_a_lock_file_has_warm_agents_too(yard, ignored):
    git(yard.source, "rm", "-q", "Cargo.lock")
    yard.commit(".gitignore", "target\n" + "Cargo.lock\n" * ignored)
    assert yard.build().state == "ready", yard.base.problem

    agent = yard.agent()

    assert compiled(agent.cargo("build", "--workspace")) == []
    assert agent.cargo("run", "-q").stdout.split()[0] == "7"


@pytest.mark.slow
def test_a_lock_file_that_a_build_changes_is_the_agent_s_alone(yard):
    """A build script that writes it: what is built from it is right, in the base and in each agent's workspace."""
    changes = 'fn main() { println!("cargo:rerun-if-changed=build.rs"); let at = "../Cargo.lock"; '
    changes += (
        'let text = std::fs::read_to_string(at).unwrap(); std::fs::write(at, text + "\\n").unwrap(); }\n'
    )
    yard.commit("apart/build.rs", changes)
    yard.build()

    agent, other = yard.agent(), yard.agent()
    agent.edit("apart/src/lib.rs", "pub fn total() -> u64 { 40 }\n")

    assert [each.cargo("run", "-q").stdout.split()[0] for each in (agent, other)] == ["46", "7"]
    assert git(other.path, "status", "--porcelain", "--", "apart", "ground") == ""


@pytest.mark.slow
def test_a_daemon_that_a_base_s_build_leaves_holds_up_nobody(yard):
    left = yard.place / "left"
    daemon = (
        'fn main() { let child = std::process::Command::new("sleep").arg("300").stdin(std::process::Stdio::null())'
        ".stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap(); "
        f'std::fs::write("{left}", child.id().to_string()).unwrap(); }}\n'
    )
    yard.commit("apart/build.rs", daemon)

    assert yard.build().state == "ready"

    pid = int(left.read_text())
    assert compiled(yard.agent().cargo("build", "--workspace")) == []
    if Path(f"/proc/{pid}/comm").exists() and Path(f"/proc/{pid}/comm").read_text() == "sleep\n":
        os.kill(pid, signal.SIGKILL)


def test_a_build_never_ended_before_it_began_whatever_it_reports(recorder):
    leave(report(asked_at=5000.0, began_at=5001.0, ended_at=1400.0, exit_code=0))

    recorder.turn()

    build = Build.objects.get()
    assert build.asked_at < build.began_at == build.ended_at


@pytest.mark.slow
def test_a_lock_that_is_waited_for_inside_of_a_view_is_told_by_its_real_path(yard, locks, redis_server):
    agent, recorder = yard.agent(), Recorder(yard.host, locks)
    assert agent.start.view
    assert agent.cargo("check").returncode == 0
    (lock,) = agent.built.glob("*/debug/.cargo-lock")

    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        waiting = threading.Thread(target=agent.cargo, args=("check",))
        waiting.start()
        until(lambda: any(known.build for known in locks._parties.values()))
        time.sleep(0.2)
    waiting.join(60)
    until(lambda: recorder.turn() == 0 and LockWait.objects.exists())

    assert LockWait.objects.get().path == str(lock)
