"""The shim in front of a real cargo: it must be cargo to whoever calls it."""

import json
import os
import pty
import signal
import subprocess
import time
from pathlib import Path

import pytest

from agentkit.building import cargo
from agentkit.building.slots import LIMIT
from tests.agentkit.shimmed import SLEEP, Crate, child_of, group_members, kill_group, until

pytestmark = pytest.mark.needs("cargo")


@pytest.fixture
def crate(tmp_path):
    return Crate(tmp_path)


def test_it_builds_into_the_directory_that_it_was_given(crate):
    done = crate.cargo("check")

    assert done.returncode == 0
    assert (crate.built() / "debug").is_dir()
    assert not (crate.path / "target").exists()
    assert crate.tickets() == []


def test_input_output_arguments_and_exit_code_are_the_tool_s(crate):
    done = crate.cargo("run", "-q", "--", "-x", "a b", "", "ü", input=b"hello\n")

    assert (done.returncode, done.stderr) == (7, b"")
    assert done.stdout.decode() == 'hello ["-x", "a b", "", "ü"] false\n'


@pytest.mark.parametrize(
    "argv", [["check", "--nope"], ["nope"], ["--version"], ["check", "--help"], [], ["build"]]
)
def test_what_it_says_is_what_the_tool_says(crate, argv):
    crate.main("fn main() { broken }")

    with_shim, without = crate.cargo(*argv), crate.cargo(*argv, shim=False)

    assert (with_shim.returncode, with_shim.stdout, complaints(with_shim)) == (
        without.returncode,
        without.stdout,
        complaints(without),
    )


def complaints(done):
    """But for waits for any other cargo of this machine: they share a package cache."""
    return [line for line in done.stderr.splitlines() if b"Blocking waiting for file lock" not in line]


def test_a_terminal_stays_one(crate):
    crate.cargo("build")
    ours, theirs = pty.openpty()

    done = crate.cargo("run", stdin=subprocess.DEVNULL, capture_output=False, stdout=theirs, stderr=theirs)

    said = os.read(ours, 10_000).decode()
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 7
    assert "\x1b[" in said
    assert "true" in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("whole_group", [True, False], ids=["group", "alone"])
def test_it_ends_by_the_signal_that_ended_the_tool(crate, number, whole_group):
    crate.main(SLEEP)
    process = crate.start("run", "-q", stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"up\n"

    (os.killpg if whole_group else os.kill)(process.pid, number)

    assert process.wait(20) == -number
    until(lambda: not group_members(process.pid))
    assert crate.report()["exit_code"] == -number


def test_a_tool_that_was_killed_is_told_as_that(crate):
    crate.main(SLEEP)
    process = crate.start("run", "-q", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == b"up\n"

    (program,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(program), signal.SIGKILL)

    assert process.wait(20) == -signal.SIGKILL
    assert process.stderr.read() == b""
    assert crate.report()["exit_code"] == -signal.SIGKILL
    assert not [name for name in os.listdir(crate.slots) if name != LIMIT]


@pytest.mark.parametrize("whom", ["the shim", "cargo", "the group"])
def test_killed_it_takes_the_build_with_it_and_gives_the_slot_back(crate, whom):
    (crate.slots / LIMIT).write_text("1")
    (crate.path / "build.rs").write_text(SLEEP)
    process = crate.start("build", "-q")
    until(lambda: any("build-script" in name for name in group_members(process.pid)))

    if whom == "the group":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        os.kill(process.pid if whom == "the shim" else child_of(process.pid), signal.SIGKILL)
    assert process.wait(20) == -signal.SIGKILL

    until(lambda: not any("cargo" in name for name in group_members(process.pid)))
    kill_group(process.pid)
    (crate.path / "build.rs").unlink()
    assert crate.cargo("check").returncode == 0


def test_a_program_that_runs_leaves_its_slot_to_others(crate):
    (crate.slots / LIMIT).write_text("1")
    crate.main(SLEEP)
    process = crate.start("run", "-q", stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"up\n"

    assert crate.cargo("check").returncode == 0

    assert process.poll() is None
    kill_group(process.pid)
    process.wait(10)


@pytest.mark.slow
def test_a_build_within_a_build_needs_no_slot_of_its_own(crate):
    (crate.slots / LIMIT).write_text("1")
    (crate.path / "build.rs").write_text(
        'fn main() { assert!(std::process::Command::new("cargo").arg("check").arg("--manifest-path")'
        '.arg("inner/Cargo.toml").arg("--target-dir").arg("inner-target").status().unwrap().success()); }'
    )
    inner = crate.path / "inner"
    (inner / "src").mkdir(parents=True)
    (inner / "Cargo.toml").write_text(
        '[package]\nname = "inner"\nversion = "0.1.0"\nedition = "2021"\n[workspace]\n'
    )
    (inner / "src" / "lib.rs").write_text("")

    assert crate.cargo("build").returncode == 0


def test_the_user_s_own_directory_wins_and_it_says_so(crate):
    own = crate.base / "own"

    done = crate.cargo("check", env={"CARGO_TARGET_DIR": str(own)})
    asked = crate.cargo("check", "--target-dir", str(crate.base / "asked"))

    assert (own / "debug").is_dir()
    assert (crate.base / "asked" / "debug").is_dir()
    assert not crate.directory.exists()
    assert f"yard: CARGO_TARGET_DIR is set, so this builds in {own}".encode() in done.stderr
    assert b"yard:" not in asked.stderr


def test_the_user_s_own_wrapper_wins_and_it_says_so(crate, tmp_path):
    wrapper = tmp_path / "wrapper"
    wrapper.write_text(f'#!/bin/sh\necho x >>"{tmp_path}/used"\nexec "$@"\n')
    wrapper.chmod(0o755)

    done = crate.cargo("check", env={"RUSTC_WRAPPER": str(wrapper), cargo.WRAPPER: "/nowhere"})

    assert done.returncode == 0
    assert (tmp_path / "used").exists()
    assert b"RUSTC_WRAPPER is set" in done.stderr


@pytest.mark.needs("rustup")
def test_another_toolchain_of_the_repository_builds_in_another_directory(crate):
    """And when the first is back, what it built is there."""
    said = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True, check=True)
    rustup = crate.base / "rustup"
    (rustup / "toolchains").mkdir(parents=True)
    for name in ("one", "two"):
        (rustup / "toolchains" / name).symlink_to(said.stdout.strip())
    done = []
    for name in ("one", "two", "one"):
        (crate.path / "rust-toolchain.toml").write_text(f'[toolchain]\nchannel = "{name}"\n')
        done.append(crate.cargo("check", env={"RUSTUP_HOME": str(rustup)}))

    assert [each.returncode for each in done] == [0, 0, 0]
    assert [b"Checking p" in each.stderr for each in done] == [True, True, False]
    reports = crate.all_reports()
    assert [report["key"]["toolchain"] for report in reports] == ["one", "two", "one"]
    assert len({report["directory"] for report in reports}) == len(list(crate.directory.iterdir())) == 2


@pytest.mark.parametrize("what", ["slots", "reports"])
def test_it_builds_where_nothing_can_be_written_for_the_yard(crate, what):
    directory = getattr(crate, what)
    directory.rmdir()

    done = crate.cargo("check")

    assert done.returncode == 0
    assert (b"builds without a slot" in done.stderr) == (what == "slots")


def test_without_the_tool_it_says_so(crate):
    shim = next(iter((crate.base / "shims").iterdir()))

    done = subprocess.run(
        [shim, "check"], env=crate.environment | {"PATH": str(shim.parent)}, capture_output=True, timeout=20
    )

    assert done.returncode == 127
    assert b"there is no cargo on PATH" in done.stderr


def test_a_report_tells_the_build(crate):
    before = time.time()
    crate.cargo("test", "--release", env={"SWARMYARD_RUN": "home.3.1", "SWARMYARD_AGENT": "w1/agent-03"})

    report = crate.report()
    assert report | {"run": "home.3.1", "agent": "w1/agent-03", "mode": "release", "exit_code": 0} == report
    assert report["arguments"] == "test --release"
    assert report["directory"] == str(crate.built())
    assert before <= report["asked_at"] <= report["began_at"] <= report["ended_at"] <= time.time()
    assert report["slot_wait_ms"] < 1000 * (time.time() - before)
    assert report["memory"] > 1_000_000


@pytest.mark.slow
def test_who_waits_reports_for_how_long_and_for_whom(crate):
    (crate.slots / LIMIT).write_text("1")
    (crate.path / "build.rs").write_text(SLEEP.replace("60", "2"))
    first = crate.start("build", "-q")
    until(lambda: len(group_members(first.pid)) > 1)

    second = crate.cargo("check", "--target-dir", str(crate.base / "other"))
    first.wait(30)

    reports = [json.loads(path.read_text()) for path in sorted(crate.reports.iterdir())]
    waited = reports[1]["slot_wait_ms"]
    assert reports[1]["slot_owners"] == [first.pid]
    assert waited == pytest.approx(1000 * (reports[1]["began_at"] - reports[1]["asked_at"]), abs=200)
    assert b"waits for a build slot (1 ahead)" in second.stderr


@pytest.mark.parametrize(
    ("argv", "mode"),
    [
        ("check -p x", "check"),
        ("+nightly c", "check"),
        ("-q --color always clippy -- -D warnings", "check"),
        ("build --release", "release"),
        ("b --profile release", "release"),
        ("b --profile=release", "release"),
        ("b --profile dev", "dev"),
        ("test -- --release", "test"),
        ("nextest run", "test"),
        ("run --help", ""),
        ("clean", ""),
        ("fmt", ""),
        ("--list", ""),
        ("", ""),
    ],
)
def test_it_knows_what_builds(argv, mode):
    assert cargo.plan_for(argv.split(), {}).mode == mode


def test_a_build_that_nobody_waits_for_is_patient():
    patient = cargo.plan_for(["check"], {"SWARMYARD_BUILD_PATIENT": "1"})

    assert (patient.patient, patient.short) == (True, False)
    assert not cargo.plan_for(["check"], {}).patient
