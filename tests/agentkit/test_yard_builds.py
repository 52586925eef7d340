"""`yard cargo` on somebody's own shell: a build directory and a slot, with no control plane anywhere."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agentkit.building.slots import LIMIT

pytestmark = pytest.mark.needs("cargo")
YARD = Path(__file__).parents[2] / "agentkit"


@pytest.fixture
def home(tmp_path):
    return tmp_path / "a home ü"


@pytest.fixture
def crate(tmp_path):
    return make_crate(tmp_path / "one" / "crate")


def make_crate(place: Path, body: str = "pub fn f() {}") -> Path:
    (place / "src").mkdir(parents=True)
    (place / "Cargo.toml").write_text(
        '[package]\nname = "p"\nversion = "0.1.0"\nedition = "2021"\n[workspace]\n'
    )
    (place / "src" / "lib.rs").write_text(body)
    return place


def yard(crate: Path, home: Path, *argv: str, **more: str) -> subprocess.CompletedProcess[str]:
    plain = {
        name: value for name, value in os.environ.items() if not name.startswith(("CARGO_", "SWARMYARD_"))
    }
    plain.pop("AGENT_ID", None)
    environment = plain | {"SWARMYARD_HOME": str(home)} | more
    return subprocess.run(
        [sys.executable, str(YARD), *argv],
        cwd=crate,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def directories(home: Path) -> list[Path]:
    """Build directories, of whoever builds by hand."""
    return sorted((home / "builds" / "by-hand").glob("*/*/*"))


def test_whoever_says_who_he_is_builds_in_a_directory_of_his_own(crate, home):
    done = yard(crate, home, "cargo", "check", AGENT_ID="a1")

    (directory,) = directories(home)
    assert done.returncode == 0
    assert (directory / "debug").is_dir()
    assert f"yard: a1 builds in {directory}" in done.stderr
    assert not (crate / "target").exists()


def test_two_names_and_two_checkouts_share_nothing(crate, home, tmp_path):
    other = make_crate(tmp_path / "two" / "crate", 'compile_error!("broken");')

    codes = [
        yard(place, home, "cargo", "check", AGENT_ID=who).returncode
        for place, who in ((crate, "a1"), (crate, "a2"), (other, "a1"))
    ]

    assert codes == [0, 0, 101]
    assert len(directories(home)) == 3


def test_a_checkout_that_is_named_on_the_command_line_has_its_own(crate, home, tmp_path):
    other = make_crate(tmp_path / "two" / "crate", 'compile_error!("broken");')
    yard(crate, home, "cargo", "check", AGENT_ID="a1")

    done = yard(crate, home, "cargo", "check", "--manifest-path", f"{other}/Cargo.toml", AGENT_ID="a1")

    assert done.returncode == 101
    assert "broken" in done.stderr


def test_it_reports_for_whoever_reads_it_later(crate, home):
    yard(crate, home, "cargo", "check", AGENT_ID="a1")

    (report,) = (home / "builds" / "reports").iterdir()
    told = json.loads(report.read_text())
    assert told | {"agent": "a1", "run": "", "mode": "check", "exit_code": 0} == told


@pytest.mark.slow
def test_it_waits_for_the_same_slots_as_agents(crate, home):
    (home / "builds" / "slots").mkdir(parents=True)
    (home / "builds" / "slots" / LIMIT).write_text("1")
    (crate / "build.rs").write_text("fn main() { std::thread::sleep(std::time::Duration::from_secs(3)) }")
    plain = {
        name: value for name, value in os.environ.items() if not name.startswith(("CARGO_", "SWARMYARD_"))
    }
    first = subprocess.Popen(
        [sys.executable, str(YARD), "cargo", "build", "-q"],
        cwd=crate,
        env=plain | {"SWARMYARD_HOME": str(home), "AGENT_ID": "a1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert "a1 builds in" in first.stderr.readline()

    second = yard(crate, home, "cargo", "build", "-q", AGENT_ID="a2")

    assert first.wait(60) == 0
    assert (second.returncode, "waits for a build slot" in second.stderr) == (0, True)


@pytest.mark.parametrize("name", ["", "../a", ".a", "a b", "ü", "x" * 65])
def test_a_name_that_is_none_is_wrong_usage(crate, home, name):
    done = yard(crate, home, "cargo", "check", AGENT_ID=name)

    assert done.returncode == 2
    assert "AGENT_ID must say who builds" in done.stderr
    assert not home.exists()


def test_where_nothing_can_be_kept_it_builds_all_the_same(crate, tmp_path):
    home = tmp_path / "file"
    home.write_text("no directory")

    done = yard(crate, home, "cargo", "check", AGENT_ID="a1")

    assert done.returncode == 0
    assert "so this builds without it" in done.stderr
    assert (crate / "target" / "debug").is_dir()


def test_what_the_user_has_set_himself_stays(crate, home, tmp_path):
    done = yard(crate, home, "cargo", "check", AGENT_ID="a1", CARGO_TARGET_DIR=str(tmp_path / "own"))

    assert done.returncode == 0
    assert (tmp_path / "own" / "debug").is_dir()
    assert directories(home) == []


def test_in_an_agent_it_is_what_its_shim_is(crate, home, tmp_path):
    given = {
        "SWARMYARD_RUN": "home.1.1",
        "SWARMYARD_AGENT": "w1/agent-01",
        "SWARMYARD_BUILD_DIRS": str(tmp_path / "dirs"),
    }

    done = yard(crate, home, "cargo", "check", AGENT_ID="a1", **given)

    assert (done.returncode, "yard:" in done.stderr) == (0, False)
    assert len(list((tmp_path / "dirs").iterdir())) == 1
    assert not home.exists()


def test_another_checkout_inside_of_an_agent_s_workspace_is_not_taken_for_it(crate, home, tmp_path):
    broken = make_crate(crate / "other", 'compile_error!("broken");')
    (broken / ".git").mkdir()
    given = {
        "SWARMYARD_RUN": "home.1.1",
        "SWARMYARD_WORKSPACE": str(crate),
        "SWARMYARD_BUILD_DIRS": str(tmp_path / "dirs"),
    }
    (crate / ".git").mkdir()

    codes = [
        yard(place, home, "cargo", "check", **given).returncode for place in (crate, broken, crate / "src")
    ]

    assert codes == [0, 101, 0]
    assert len(list((tmp_path / "dirs").iterdir())) == 2
