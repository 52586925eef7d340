"""Compilers that builds of one machine share: real cargo, and compilers that take note of one another."""

import array
import fcntl
import os
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from agentkit.building import cargo, jobserver
from agentkit.building.jobserver import FIFO, NUMBER, Tokens
from tests.agentkit.shimmed import SLEEP, Crate, child_of, group_members, kill_group, until
from tests.builds.crates import make_crates

# In place of rustc: notes how many of its kind it sees at once, and stays for a moment so that they meet.
COUNTING = """#!/bin/sh
case "$*" in *"--crate-name ___"*|*-vV*) exec "$@";; esac
touch "{place}/running/$$"; ls "{place}/running" | wc -l >>"{place}/seen"
sleep 0.3
"$@"; code=$?
rm "{place}/running/$$"; exit $code
"""


@pytest.fixture
def shared(tmp_path):
    place = tmp_path / "jobserver"
    place.mkdir()
    os.mkfifo(place / FIFO)
    (place / NUMBER).write_text("2\n")
    return place


@pytest.fixture
def crate(tmp_path, shared):
    crate = Crate(tmp_path)
    crate.environment[cargo.JOBSERVER] = str(shared)
    (crate.slots / "limit").write_text("8")
    return crate


def left(tokens: Tokens) -> int:
    """How many nobody has taken."""
    count = array.array("i", [0])
    fcntl.ioctl(tokens._fd, termios.FIONREAD, count)
    return count[0]


def take(tokens: Tokens, number: int) -> None:
    os.read(tokens._fd, number)


def test_the_first_fills_it_and_the_next_doesn_t(shared):
    first = Tokens(str(shared))
    take(first, 1)

    second = Tokens(str(shared))

    assert (left(first), left(second)) == (1, 1)
    first.close()
    second.close()


def test_tokens_of_the_killed_are_back_when_nobody_builds(shared):
    script = (
        "import os, signal, sys\n"
        "from agentkit.building.jobserver import Tokens\n"
        "tokens = Tokens(sys.argv[1])\n"
        "os.read(tokens._fd, 2)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    other = Tokens(str(shared))
    root = Path(__file__).parents[2]
    killed = subprocess.run([sys.executable, "-c", script, str(shared)], cwd=root, timeout=30)
    assert (killed.returncode, left(other)) == (-signal.SIGKILL, 0)
    other.close()

    again = Tokens(str(shared))

    assert left(again) == 2
    again.close()


@pytest.mark.parametrize("text", ["", "many", "-3"])
def test_a_number_that_is_none_gives_no_tokens(shared, text):
    (shared / NUMBER).write_text(text)

    tokens = Tokens(str(shared))

    assert left(tokens) == 0
    tokens.close()


@pytest.mark.needs("cargo")
@pytest.mark.parametrize("number", [0, 2])
@pytest.mark.slow
def test_builds_together_have_a_compiler_each_and_the_tokens(crate, shared, tmp_path, number):
    (shared / NUMBER).write_text(str(number))
    (tmp_path / "running").mkdir()
    wrapper = tmp_path / "rustc-wrapper"
    wrapper.write_text(COUNTING.format(place=tmp_path))
    wrapper.chmod(0o755)
    crates = {f"c{each}": [] for each in range(6)}
    builds = []
    for name in ("one", "two"):
        make_crates(tmp_path / name, crates)
        environment = crate.environment | {
            "RUSTC_WRAPPER": str(wrapper),
            "CARGO_BUILD_JOBS": "6",
            "SWARMYARD_BUILD_DIRS": str(tmp_path / f"{name}-built"),
        }
        builds.append(
            subprocess.Popen(["cargo", "check", "-q"], cwd=tmp_path / name, env=environment, stderr=-3)
        )

    assert [build.wait(120) for build in builds] == [0, 0]

    seen = [int(line) for line in (tmp_path / "seen").read_text().split()]
    assert len(seen) == 12
    assert max(seen) <= 2 + number
    assert number == 0 or max(seen) > 1


@pytest.mark.needs("cargo")
@pytest.mark.parametrize(
    "argv", [["check", "-j1"], ["check", "-j", "1"], ["check", "-vj1"], ["check", "--jobs=1"]]
)
def test_the_user_s_own_number_of_jobs_wins_without_a_word_of_cargo(crate, argv):
    done = crate.cargo(*argv)

    assert done.returncode == 0
    assert b"jobserver" not in done.stderr


@pytest.mark.needs("cargo")
@pytest.mark.parametrize("name", ["MAKEFLAGS", "CARGO_MAKEFLAGS"])
def test_the_user_s_own_jobserver_wins(crate, tmp_path, name):
    (crate.path / "build.rs").write_text(
        'fn main() { std::fs::write("flags", std::env::var("CARGO_MAKEFLAGS").unwrap()).unwrap(); }'
    )
    os.mkfifo(tmp_path / "own")
    own = os.open(tmp_path / "own", os.O_RDWR | os.O_NONBLOCK)

    done = crate.cargo("check", env={name: f"-j --jobserver-auth=fifo:{tmp_path}/own"})

    os.close(own)
    assert done.returncode == 0
    assert f"fifo:{tmp_path}/own" in (crate.path / "flags").read_text()


@pytest.mark.needs("cargo")
def test_what_a_build_starts_knows_of_it(crate, shared):
    (crate.path / "build.rs").write_text(
        'fn main() { std::fs::write("flags", std::env::var("CARGO_MAKEFLAGS").unwrap()).unwrap(); }'
    )

    assert crate.cargo("check").returncode == 0

    assert f"fifo:{shared / FIFO}" in (crate.path / "flags").read_text()


@pytest.mark.needs("cargo")
@pytest.mark.parametrize("fault", ["gone", "a file", "no number"])
def test_without_one_it_builds_as_ever(crate, shared, fault):
    (shared / (NUMBER if fault == "no number" else FIFO)).unlink()
    if fault == "a file":
        (shared / FIFO).mkdir()

    done, plain = crate.cargo("check"), crate.cargo("check", shim=False)

    assert (done.returncode, b"yard" in done.stderr) == (plain.returncode, False)


@pytest.mark.needs("cargo")
def test_a_program_that_runs_has_no_share_in_it(crate, shared):
    crate.main(SLEEP)
    process = crate.start("run", "-q", stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"up\n"

    fd = os.open(shared / FIFO, os.O_RDWR | os.O_NONBLOCK)
    until(lambda: jobserver.is_alone(fd))

    os.close(fd)
    assert process.poll() is None
    kill_group(process.pid)
    process.wait(10)


@pytest.mark.needs("cargo")
@pytest.mark.parametrize("whom", ["the shim", "cargo", "the group"])
def test_after_a_kill_the_next_build_has_all_tokens(crate, shared, whom):
    (crate.path / "build.rs").write_text(SLEEP)
    process = crate.start("build", "-q", stderr=subprocess.DEVNULL)
    until(lambda: any("build-script" in name for name in group_members(process.pid)))

    if whom == "the group":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        os.kill(process.pid if whom == "the shim" else child_of(process.pid), signal.SIGKILL)
    process.wait(20)

    until(lambda: not any("cargo" in name for name in group_members(process.pid)))
    tokens = Tokens(str(shared))
    assert left(tokens) == 2
    tokens.close()
    kill_group(process.pid)
