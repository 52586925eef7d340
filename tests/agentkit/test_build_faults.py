"""What goes wrong while agents build: the build says what cargo says, its slot comes back, its report is there."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agentkit.building.slots import LIMIT
from tests.agentkit.shimmed import SLEEP, Crate, group_members, kill_group, until
from tests.needs import own_mounts

pytestmark = pytest.mark.needs("cargo")


@pytest.fixture
def crate(tmp_path):
    crate = Crate(tmp_path)
    (crate.slots / LIMIT).write_text("1")
    return crate


def test_a_broken_toolchain_file_is_told_of_as_ever(crate):
    (crate.path / "rust-toolchain.toml").write_text("[toolchain\nchannel = ")

    with_shim, without = crate.cargo("check"), crate.cargo("check", shim=False)

    assert with_shim.returncode == without.returncode != 0
    assert with_shim.stderr == without.stderr
    assert crate.report()["exit_code"] == with_shim.returncode
    assert crate.tickets() == []


@pytest.mark.parametrize("scheme", ["lean", "strict"])
def test_without_a_lock_file_it_builds(crate, scheme):
    (crate.path / "Cargo.lock").unlink(missing_ok=True)

    done = crate.cargo("check", env={"SWARMYARD_BUILD_SCHEME": scheme})

    assert done.returncode == 0
    assert (crate.path / "Cargo.lock").exists()


@pytest.mark.slow
def test_a_lock_file_that_changes_during_a_build_costs_the_strict_scheme_one_more_directory(crate):
    (crate.path / "build.rs").write_text(
        'fn main() { std::fs::write("Cargo.lock", "version = 4\\n").unwrap(); }'
    )
    strict = {"SWARMYARD_BUILD_SCHEME": "strict"}

    codes = [crate.cargo("check", env=strict).returncode for _build in range(3)]

    assert codes == [0, 0, 0]
    assert 1 < len(list(crate.directory.iterdir())) <= 3


def test_a_path_of_300_characters_is_no_problem(tmp_path):
    place = tmp_path / ("long " * 30).strip() / ("läng " * 25).strip()
    place.mkdir(parents=True)
    assert len(str(place)) > 300
    crate = Crate(place)

    done = crate.cargo("build")

    assert done.returncode == 0, done.stderr
    assert (crate.built() / "debug" / "p").exists()
    assert crate.report()["cwd"] == str(crate.path)


def test_a_name_that_is_no_text_costs_the_report_nothing_but_that_name(tmp_path):
    place = tmp_path / os.fsdecode(b"not utf-8 \xff")
    place.mkdir()
    crate = Crate(place)

    done = crate.cargo("--version"), crate.cargo("check")

    assert done[0].returncode == 0
    assert crate.report()["exit_code"] == done[1].returncode
    assert "not utf-8 �" in crate.report()["cwd"]


def test_megabytes_of_output_come_through_whole(crate):
    (crate.path / "build.rs").write_text(
        'fn main() { for _ in 0..50_000 { eprintln!("{}", "x".repeat(99)); } std::process::exit(1) }'
    )

    done = crate.cargo("build")

    assert done.returncode == 101
    assert done.stderr.count(b"x" * 99) == 50_000
    assert crate.tickets() == []


@pytest.mark.slow
def test_a_daemon_that_a_build_leaves_keeps_neither_slot_nor_build(crate):
    (crate.path / "build.rs").write_text(
        'fn main() { std::process::Command::new("sleep").arg("300").stdin(std::process::Stdio::null())'
        ".stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap(); }"
    )
    process = crate.start("build", "-q")

    code = process.wait(60)

    left = group_members(process.pid)
    kill_group(process.pid)
    assert code == 0
    assert [name for name in left if "sleep" in name]
    assert crate.tickets() == []
    assert crate.cargo("check").returncode == 0


def test_a_build_directory_that_can_t_be_written_is_cargo_s_error(crate):
    done = crate.cargo("check", env={"SWARMYARD_BUILD_DIRS": "/proc/nothing"})

    assert done.returncode == 101
    assert b"/proc/nothing" in done.stderr
    assert crate.report()["exit_code"] == 101
    assert crate.tickets() == []


@pytest.mark.needs("mounts")
@pytest.mark.parametrize("options", ["size=64k", "ro"], ids=["full", "read-only"])
@pytest.mark.slow
def test_a_disk_that_takes_no_more_ends_the_build_and_nothing_else(crate, options):
    crate.directory.mkdir()
    script = 'mount -t tmpfs -o "$1" none "$2" && shift 2 && exec "$@"'
    words = [*own_mounts(), "sh", "-c", script, "sh", options, str(crate.directory), "cargo", "build"]

    done = subprocess.run(words, cwd=crate.path, env=crate.environment, capture_output=True, timeout=60)

    assert done.returncode == 101
    assert b"No space left" in done.stderr or b"Read-only file system" in done.stderr
    assert crate.report()["exit_code"] == 101
    assert crate.tickets() == []
    assert crate.cargo("check").returncode == 0


@pytest.mark.needs("mounts")
def test_a_full_disk_of_the_yard_costs_the_report_not_the_build(crate):
    script = 'mount -t tmpfs -o size=4k,nr_inodes=1 none "$1" && shift && exec "$@"'
    words = [*own_mounts(), "sh", "-c", script, "sh", str(crate.reports), "cargo", "check"]

    done = subprocess.run(words, cwd=crate.path, env=crate.environment, capture_output=True, timeout=60)

    assert done.returncode == 0
    assert list(crate.reports.iterdir()) == []


def test_a_wrapper_that_is_gone_is_not_missed(crate):
    done = crate.cargo("check", env={"SWARMYARD_RUSTC_WRAPPER": "/nowhere/rustc-cached"})

    assert (done.returncode, b"yard:" in done.stderr) == (0, False)


@pytest.mark.slow
def test_the_compiler_cache_is_for_release_builds_and_for_the_first(crate, tmp_path):
    wrapper = counting_wrapper(tmp_path)
    asked = []
    for argv in (["check"], ["check"], ["build"], ["build", "--release"]):
        (crate.path / "src" / "main.rs").write_text(f'fn main() {{ println!("{len(asked)}"); }}')
        (tmp_path / "asked").write_text("")
        assert crate.cargo(*argv, env={"SWARMYARD_RUSTC_WRAPPER": str(wrapper)}).returncode == 0
        asked.append(bool((tmp_path / "asked").read_text()))

    assert asked == [True, False, False, True]


def test_a_wrapper_in_cargo_s_own_files_wins(crate, tmp_path):
    wrapper = counting_wrapper(tmp_path)
    (crate.path / ".cargo").mkdir()
    (crate.path / ".cargo" / "config.toml").write_text(f'[build]\nrustc-wrapper = "{wrapper}"\n')

    done = crate.cargo("check", env={"SWARMYARD_RUSTC_WRAPPER": "/bin/false"})

    assert done.returncode == 0
    assert (tmp_path / "asked").read_text()


def counting_wrapper(place: Path) -> Path:
    wrapper = place / "wrapper"
    wrapper.write_text(f'#!/bin/sh\necho x >>"{place}/asked"\nexec "$@"\n')
    wrapper.chmod(0o755)
    return wrapper


def test_killed_with_its_group_it_leaves_no_ticket_that_counts(crate):
    (crate.path / "build.rs").write_text(
        'fn main() { std::fs::write("up", "").unwrap(); std::thread::sleep(std::time::Duration::from_secs(60)) }'
    )
    process = crate.start("build", "-q")
    until((crate.path / "up").exists)

    kill_group(process.pid)
    process.wait(20)

    (crate.path / "build.rs").unlink()
    assert crate.cargo("check").returncode == 0
    assert crate.tickets() == []


@pytest.mark.slow
def test_ctrl_c_in_a_terminal_ends_all_of_a_build_and_gives_its_slot_back(crate):
    (crate.path / "build.rs").write_text(SLEEP.replace('println!("up")', 'std::fs::write("up", "").unwrap()'))
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(crate.path)
        os.execvpe("cargo", ["cargo", "build"], crate.environment)
    until((crate.path / "up").exists)
    before = crate.tickets()

    os.write(terminal, b"\x03")
    _, status = os.waitpid(pid, 0)

    until(lambda: not group_members(pid))
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGINT
    assert (len(before), crate.tickets()) == (1, [])
    assert crate.report()["exit_code"] == -signal.SIGINT


@pytest.mark.slow
def test_ctrl_c_while_it_waits_for_a_slot_leaves_nobody_in_the_queue(crate):
    (crate.path / "build.rs").write_text(SLEEP)
    first = crate.start("build", "-q")
    until(lambda: len(group_members(first.pid)) > 1)
    second = crate.start("build", "-q", stderr=subprocess.PIPE)
    assert b"waits for a build slot" in second.stderr.readline()

    os.killpg(second.pid, signal.SIGINT)

    assert second.wait(20) == -signal.SIGINT
    assert [name.rpartition(".")[2] for name in crate.tickets()] == [str(first.pid)]
    ended = [report for report in crate.all_reports() if "ended_at" in report]
    assert [(report["pid"], report["exit_code"]) for report in ended] == [(second.pid, -signal.SIGINT)]
    kill_group(first.pid)
    first.wait(20)


SET_BACK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, now);
    if (clock == CLOCK_REALTIME && !access(getenv("SET_BACK_FROM"), F_OK)) now->tv_sec -= 3600;
    return failed;
}
"""


@pytest.mark.needs("cc")
@pytest.mark.slow
def test_a_clock_that_is_set_back_during_a_build_makes_it_no_shorter(crate, tmp_path):
    (tmp_path / "clock.c").write_text(SET_BACK)
    library = str(tmp_path / "clock.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, tmp_path / "clock.c", "-ldl"], check=True)
    moment = str(tmp_path / "set back")
    (crate.path / "build.rs").write_text(
        f'fn main() {{ std::fs::write("{moment}", "").unwrap(); '
        "std::thread::sleep(std::time::Duration::from_secs(1)) }"
    )

    done = crate.cargo("check", env={"LD_PRELOAD": library, "SET_BACK_FROM": moment})

    report = crate.report()
    assert done.returncode == 0, done.stderr
    assert 1 < report["ended_at"] - report["began_at"] < 60


def test_shims_of_two_yards_on_one_path_do_not_take_each_other_for_the_tool(crate):
    """As where an agent of one yard starts another yard."""
    other = crate.base / "shims of another"
    other.mkdir()
    (other / "cargo").write_bytes((crate.base / "shims" / "cargo").read_bytes())
    (other / "cargo").chmod(0o755)
    inner = {"PATH": f"{other}:{crate.environment['PATH']}", "SWARMYARD_SHIMS": str(other)}

    codes = [crate.cargo(*argv, env=inner).returncode for argv in (["--version"], ["check"])]

    assert codes == [0, 0]
    assert (crate.built() / "debug").is_dir()


def test_it_runs_on_a_python_that_has_no_packages(crate):
    """The shim must not need what only our virtual environment has."""
    done = subprocess.run(
        [sys.executable, "-IS", "-c", "import sys; sys.path.insert(0, sys.argv[1]); import agentkit.building.running",
         str(Path(__file__).parents[2])],
        capture_output=True, timeout=30,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
