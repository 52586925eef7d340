"""What new agents begin with, made from a base that a job has built, and held against clean builds of a real cargo."""

import fcntl
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from apps.builds import base_actions, base_keeper, places, seeding, views
from apps.builds.bases import OnDisk, Ready
from apps.builds.models import Base, BuildDirectory
from apps.builds.programs import linkers_of
from apps.builds.warming import Start, Warmth
from apps.events.models import Event
from tests.builds.test_seeding import contents
from tests.needs import own_mounts

from .crates import write
from .warm import WarmYard, clean, compiled

pytestmark = pytest.mark.needs("cargo", "git", "mounts")
ALL = (
    ["check", "--workspace", "--all-targets"],
    ["test", "--workspace", "--no-run"],
    ["build", "--workspace"],
)


@pytest.fixture
def yard(home, db, tmp_path):
    return WarmYard(tmp_path)


@pytest.fixture
def hidden(home, db, tmp_path):
    """On a host that can't show agents anything."""
    return WarmYard(tmp_path, shown=False)


def test_an_agent_s_first_builds_have_nothing_to_do(yard):
    assert yard.build().state == "ready"

    agent = yard.agent()

    assert [compiled(agent.cargo(*command)) for command in ALL] == [[], [], []]
    row = BuildDirectory.objects.get(workspace=agent.workspace)
    assert row.warm_source == f"base at {yard.head[:12]}"
    assert Path(row.path).parent == agent.built


@pytest.mark.slow
def test_paths_in_what_is_built_are_the_agent_s(yard):
    yard.build()
    one, two = yard.agent(), yard.agent()

    said = [agent.cargo("run", "-q").stdout for agent in (one, two)]

    assert said == [f"7 {views.workspace_at(yard.repository.pk)}/app\n"] * 2


@pytest.mark.slow
def test_what_agents_build_is_what_clean_builds_give(yard, tmp_path):
    yard.build()
    edits = {
        "ground/words.txt": "hello, world",
        "apart/src/lib.rs": "pub fn total() -> u64 { 40 }\n",
        "middle/src/lib.rs": "pub fn total() -> u64 { ground::total() * 100 }\n",
        "ground/src/lib.rs": "pub fn total() -> u64 { 11 }\n#[test]\nfn it_counts() { assert_eq!(total(), 12); }\n",
    }
    agents = {path: yard.agent() for path in edits}
    for path, text in edits.items():
        agents[path].edit(path, text)

    for path, agent in agents.items():
        built = {
            words: agent.cargo(*words.split()) for words in ("run -q", "test -q --workspace --no-fail-fast")
        }
        for words, done in built.items():
            expected = clean(agent.path, tmp_path / "clean" / path.replace("/", "-"), *words.split())
            assert done.returncode == expected.returncode, (path, words, done.stderr)
            if words == "run -q":
                assert done.stdout.split()[0] == expected.stdout.split()[0], path
            assert verdicts(done.stdout) == verdicts(expected.stdout), path
    assert compiled(yard.agent().cargo("build", "--workspace")) == []


def verdicts(text):
    return sorted(
        line.partition("; finished")[0] for line in text.splitlines() if line.startswith("test result")
    )


@pytest.mark.slow
def test_nothing_that_an_agent_does_reaches_the_base_or_its_neighbour(yard):
    yard.build()
    agent, neighbour = yard.agent(), yard.agent()
    built = places.base_of(yard.repository) / "built"
    before, beside = contents(built), contents(neighbour.built)

    for text in ("pub fn total() -> u64 { 7 }\n", 'compile_error!("no");\n', "pub fn total() -> u64 { 8 }\n"):
        agent.edit("middle/src/lib.rs", text)
        agent.edit("ground/words.txt", text[:10].replace("\n", ""))
        for command in (["check"], ["build"], ["test", "-q"], ["build", "--release"]):
            agent.cargo(*command)
    agent.cargo("clean")

    assert contents(built) == before
    assert contents(neighbour.built) == beside
    assert compiled(neighbour.cargo("build")) == []


def test_an_edit_is_built_from_incremental_state(yard):
    """rustc throws it away when the path of a crate has changed."""
    yard.build()
    agent = yard.agent()
    agent.edit("middle/src/lib.rs", "pub fn total() -> u64 { ground::total() + 3 }\n")
    sessions = [path for path in agent.built.rglob("incremental/middle-*") if path.is_dir()]
    kept = {path: {file.stat().st_ino for file in path.rglob("*.o")} for path in sessions}

    assert compiled(agent.cargo("build")) == ["middle", "app"]

    after = {file.stat().st_ino for path in sessions for file in path.rglob("*.o")}
    assert after & {inode for inodes in kept.values() for inode in inodes}


def test_code_that_does_not_compile_is_never_fresh(yard):
    yard.build()
    agent = yard.agent()
    agent.edit("ground/src/lib.rs", 'compile_error!("no");\n')

    done = agent.cargo("check")

    assert done.returncode == 101
    assert "error: no" in done.stderr


@pytest.mark.slow
def test_a_workspace_of_a_later_commit_builds_what_changed(yard):
    yard.build()
    yard.commit("apart/src/lib.rs", "pub fn total() -> u64 { 500 }\n")

    agent = yard.agent()

    assert compiled(agent.cargo("build")) == ["apart", "app"]
    assert agent.cargo("run", "-q").stdout.split()[0] == "506"


# Where there is no view


@pytest.mark.slow
def test_without_a_view_no_crate_of_the_repository_is_taken_for_built(hidden):
    hidden.build()

    agent = hidden.agent()

    assert (agent.start.view, agent.start.source) == ([], f"base at {hidden.head[:12]}, dependencies only")
    assert sorted(compiled(agent.cargo("build"))) == ["apart", "app", "ground", "middle"]
    assert agent.cargo("run", "-q").stdout.split() == ["7", f"{agent.path}/app"]


def vendor(source):
    """A crate of somebody else, as `cargo vendor` leaves it, at one path for all checkouts."""
    write(source / ".cargo" / "config.toml", '[source.crates-io]\nreplace-with = "vendored"\n')
    with (source / ".cargo" / "config.toml").open("a") as file:
        file.write(f'[source.vendored]\ndirectory = "{source.parent}/vendor"\n')
    other = source.parent / "vendor" / "other"
    write(other / "Cargo.toml", '[package]\nname = "other"\nversion = "1.0.0"\nedition = "2021"\n')
    write(other / "src" / "lib.rs", "pub fn two() -> u64 { 2 }\n")
    write(other / ".cargo-checksum.json", json.dumps({"files": {}, "package": "0" * 64}))
    with (source / "apart" / "Cargo.toml").open("a") as file:
        file.write('other = "1"\n')
    write(source / "apart" / "src" / "lib.rs", "pub fn total() -> u64 { other::two() }\n")
    subprocess.run(["cargo", "generate-lockfile", "--offline"], cwd=source, check=True, capture_output=True)


@pytest.mark.slow
def test_without_a_view_crates_of_others_are_built_already(hidden):
    vendor(hidden.source)
    hidden.commit("README", "with a crate of somebody else")
    hidden.build()

    agent = hidden.agent()

    assert sorted(compiled(agent.cargo("build"))) == ["apart", "app", "ground", "middle"]
    assert agent.cargo("run", "-q").stdout.split()[0] == "8"


def test_only_what_is_of_others_is_taken(tmp_path):
    base = tmp_path / "base"
    kept = (
        ".rustc_info.json",
        "debug/.cargo-lock",
        "debug/.fingerprint/serde-0123456789abcdef/lib-serde",
        "debug/deps/libserde-0123456789abcdef.rlib",
        "debug/build/serde-0123456789abcdef/output",
        "x86_64-unknown-linux-gnu/release/deps/serde-0123456789abcdef.d",
    )
    left = (
        "debug/app",
        "debug/libmy_own.rlib",
        "debug/.fingerprint/my-own-0123456789abcdef/lib-my_own",
        "debug/deps/libmy_own-0123456789abcdef.rmeta",
        "debug/deps/my_own-0123456789abcdef.abc.rcgu.o",
        "debug/incremental/my_own-abc/s-1/query-cache.bin",
        "debug/examples/show",
        "debug/build/my-own-0123456789abcdef/output",
    )
    for path in (*kept, *left):
        write(base / path, path)
    (base / "x86_64-unknown-linux-gnu/release/.fingerprint").mkdir()

    seeding.seed(base, tmp_path / "target", without=("my-own", "app"))

    found = {
        str(path.relative_to(tmp_path / "target"))
        for path in (tmp_path / "target").rglob("*")
        if path.is_file()
    }
    assert found == set(kept)


@pytest.mark.parametrize("switch", ["same_path", "setting"])
@pytest.mark.slow
def test_a_view_can_be_switched_off(yard, settings, switch):
    yard.build()
    if switch == "setting":
        settings.SAME_PATH = False
    else:
        yard.options(same_path=False)

    agent = yard.agent()

    assert agent.start.view == []
    assert agent.start.source.endswith("dependencies only")
    assert agent.cargo("run", "-q").stdout.split() == ["7", f"{agent.path}/app"]


@pytest.mark.slow
def test_a_build_that_leaves_files_between_the_sources_is_not_taken_for_theirs(yard):
    script = 'fn main() { std::fs::write("src/made.rs", "pub fn made() -> u64 { 2 }").unwrap(); }\n'
    write(yard.source / "apart" / "build.rs", script)
    write(yard.source / ".gitignore", "target\nmade.rs\n")
    yard.commit("apart/src/lib.rs", "mod made;\npub fn total() -> u64 { made::made() }\n")
    assert yard.build().state == "ready"

    agent = yard.agent()

    assert agent.start.source.endswith("dependencies only")
    assert agent.cargo("run", "-q").stdout.split()[0] == "8"


# Nothing is done


def test_a_repository_that_is_not_rust_costs_nothing(yard, django_assert_num_queries):
    (yard.source / "Cargo.toml").rename(yard.source / "Other.toml")
    yard.commit("README", "no crates")
    workspace = yard.workspace()
    warmth = Warmth([workspace])

    with django_assert_num_queries(0):
        start = warmth.start_of(workspace)

    assert start == Start()
    assert not places.directories_of(workspace).exists()
    assert not Base.objects.exists()


@pytest.mark.parametrize("option", ["own_directories", "warm_start"])
@pytest.mark.slow
def test_it_can_be_switched_off(yard, option):
    yard.build()
    yard.options(**{option: False})

    agent = yard.agent()

    assert agent.start.keys == []
    assert not BuildDirectory.objects.filter(workspace=agent.workspace).exists()


def test_the_first_agents_are_cold_and_a_base_is_built_for_the_next(yard):
    agent = yard.agent()

    assert agent.start.source == "cold: there is no base yet"
    assert (yard.base.state, yard.base.wanted) == ("queued", yard.head)
    assert not Event.objects.filter(kind="base.passed_over").exists()
    assert "ground" in compiled(agent.cargo("build"))


# Faults: the agent starts cold, and what it builds is right


def started_cold(yard, agent, why):
    assert agent.start.keys == []
    assert why in agent.start.source
    assert not any(agent.built.iterdir())
    text = Event.objects.get(kind="base.passed_over").text
    assert text.startswith("1 agents of project start cold: ")
    assert why in text
    assert sorted(compiled(agent.cargo("build"))) == ["apart", "app", "ground", "middle"]
    return True


@pytest.mark.slow
def test_a_base_that_is_being_built_holds_up_nobody_for_long(yard, settings):
    settings.BASE_WAIT_SECONDS = 0.2
    yard.build()
    with (places.base_of(yard.repository) / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        began = time.monotonic()
        agent = yard.agent()

    assert time.monotonic() - began < 60
    assert started_cold(yard, agent, "it is being built")


@pytest.mark.slow
def test_a_base_whose_build_was_cut_off_is_used_by_nobody(yard):
    yard.build()
    (places.base_of(yard.repository) / "ready").unlink()

    assert started_cold(yard, yard.agent(), "didn't go through")


@pytest.mark.slow
def test_a_base_that_was_built_in_the_future_is_used_by_nobody(yard, monkeypatch):
    """The clock was set back: what an agent edits now would seem older than what was built."""
    yard.build()
    earlier = time.time() - 3600
    monkeypatch.setattr("apps.builds.bases.time.time", lambda: earlier)

    assert started_cold(yard, yard.agent(), "the clock was set back")


@pytest.mark.slow
def test_a_base_that_lacks_a_file_leaves_nothing_half_made(yard, monkeypatch):
    yard.build()
    real, calls = seeding.keep_times, []

    def full(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        real(*arguments)

    monkeypatch.setattr(seeding, "keep_times", full)

    assert started_cold(yard, yard.agent(), "No space left")


@pytest.mark.slow
def test_what_an_attempt_left_that_was_cut_off_is_not_used(yard):
    yard.build()
    workspace = yard.workspace()
    key = next((places.base_of(yard.repository) / "built").iterdir()).name
    write(places.directories_of(workspace) / key / "debug" / "deps" / "half", "")
    write(places.directories_of(workspace) / f"{key}{seeding.SEEDING}" / "half", "")

    start = Warmth([workspace]).start_of(workspace)

    assert start.keys == [key]
    assert not list(places.directories_of(workspace).rglob("half"))


@pytest.mark.slow
def test_a_base_that_somebody_wrote_into_is_used_by_nobody_and_built_anew(yard):
    """By force, into a file that an agent's build directory shares with the base."""
    yard.build()
    poisoner = yard.agent()
    with next(poisoner.built.rglob("libapart-*.rlib")).open("ab") as file:
        file.write(b"poison")

    assert started_cold(yard, yard.agent(), "was changed after it was built")

    base_actions.keep_bases(yard.now() + base_actions.DEBOUNCE * 2)
    base_keeper.build_next(yard.host)
    assert yard.base.state == "ready"
    assert compiled(yard.agent().cargo("build", "--workspace")) == []
    assert not [
        path for path in places.base_of(yard.repository).rglob("*.rlib") if b"poison" in path.read_bytes()
    ]


@pytest.mark.skipif(shutil.which("mold") is None, reason="mold is not installed")
@pytest.mark.slow
def test_a_linker_that_writes_into_what_is_there_changes_nothing_of_others(yard):
    write(yard.source / ".cargo" / "config.toml", '[build]\nrustflags = ["-Clink-arg=-fuse-ld=mold"]\n')
    yard.commit("README", "with mold")
    yard.build()
    agent, neighbour = yard.agent(), yard.agent()
    built = places.base_of(yard.repository) / "built"
    before, beside = contents(built), contents(neighbour.built)
    test = next(path for path in agent.built.rglob("debug/deps/ground-*") if not path.suffix)
    assert b"mold" in linkers_of(test)

    agent.edit(
        "ground/src/lib.rs",
        "pub fn total() -> u64 { 9 }\n#[test]\nfn it_counts() { assert_eq!(total(), 8); }\n",
    )
    assert agent.cargo("test", "-q", "-p", "ground").returncode == 101

    assert contents(built) == before
    assert contents(neighbour.built) == beside
    assert neighbour.cargo("test", "-q", "-p", "ground").returncode == 0


def elsewhere(yard, way):
    """What `on_a_small_disk` tells of a base like that of `yard`, but full of files of others."""
    base = yard.place / "base"
    key = base / "built" / "stable-1"
    write(key / "CACHEDIR.TAG", "")
    write(key / "debug" / ".cargo-lock", "")
    write(key / "debug" / ".fingerprint" / "big-0123456789abcdef" / "lib-big", "x" * 100_000)
    write(key / "debug" / "deps" / "big-0123456789abcdef.d", "x" * 1_000_000)
    write(base / "lock", "")
    OnDisk(base).finish(Ready(yard.head, time.time(), same_path=False, own=("app",)))
    small = yard.place / "small"
    small.mkdir()
    words = [
        sys.executable,
        "-m",
        "tests.builds.on_a_small_disk",
        way,
        str(small),
        str(yard.source),
        str(base),
    ]
    root = Path(__file__).parents[2]
    done = subprocess.run([*own_mounts(), *words], cwd=root, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


@pytest.mark.slow
def test_a_disk_that_is_full_leaves_nothing_half_made(yard):
    told = elsewhere(yard, "full")

    assert told["keys"] == []
    assert "No space left" in told["source"]
    assert told["left"] == []
    assert told["again"] == ["stable-1"]


@pytest.mark.slow
def test_a_base_that_can_not_be_written_will_do(yard):
    told = elsewhere(yard, "read-only")

    assert told["keys"] == ["stable-1"]
    assert "stable-1/debug/deps/big-0123456789abcdef.d" in told["left"]
