"""pytest, mypy, npm and tsc behind their shims."""

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from agentkit.building.tools import planner

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


class Yard:
    def __init__(self, base: Path) -> None:
        self.workspace, self.reports = base / "a workspace ü", base / "reports"
        self.shims = base / "shims"
        for place in (self.workspace, self.reports, self.shims, base / "slots"):
            place.mkdir()
        for tool in ("pytest", "mypy", "npm", "tsc"):
            script = self.shims / tool
            script.write_text(f'#!/bin/sh\nexec {sys.executable} -IS {ROOT}/agentkit/shims.py {tool} "$@"\n')
            script.chmod(0o755)
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("SWARMYARD_", "PYTEST_", "MYPY", "npm_", "PIP_"))
        }
        self.environment = kept | {
            "PATH": f"{self.shims}:{BIN}:{os.environ['PATH']}",
            "SWARMYARD_SHIMS": str(self.shims),
            "SWARMYARD_SLOTS": str(base / "slots"),
            "SWARMYARD_BUILD_REPORTS": str(self.reports),
        }

    def run(self, *argv: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            argv, cwd=self.workspace, env=self.environment | more, capture_output=True, text=True, timeout=120
        )

    def report(self) -> dict:
        (path,) = self.reports.iterdir()
        return json.loads(path.read_text())


@pytest.fixture
def yard(tmp_path):
    return Yard(tmp_path)


@pytest.mark.slow
def test_a_run_of_pytest_is_a_build_and_its_cache_the_workspace_s(yard):
    (yard.workspace / "test_it.py").write_text("def test_it():\n    assert False\n")

    done = yard.run("pytest", "-q", "-p", "no:django", "--rootdir", ".")

    report = yard.report()
    assert (done.returncode, "1 failed" in done.stdout) == (1, True)
    assert report | {"tool": "pytest", "mode": "test", "exit_code": 1} == report
    assert (yard.workspace / ".pytest_cache").is_dir()


@pytest.mark.slow
def test_a_run_of_mypy_is_one_too(yard):
    (yard.workspace / "it.py").write_text("x: int = ''\n")

    done = yard.run("mypy", "it.py")

    report = yard.report()
    assert (done.returncode, "Incompatible types" in done.stdout) == (1, True)
    assert report | {"tool": "mypy", "mode": "check", "exit_code": 1} == report
    assert (yard.workspace / ".mypy_cache").is_dir()


@pytest.mark.slow
def test_a_cache_that_the_user_shares_stays_shared_and_it_says_so(yard, tmp_path):
    (yard.workspace / "it.py").write_text("x: int = 1\n")

    done = yard.run("mypy", "it.py", MYPY_CACHE_DIR=str(tmp_path / "one"))

    assert done.returncode == 0
    assert (tmp_path / "one").is_dir()
    assert "MYPY_CACHE_DIR is set, so all workspaces have one cache" in done.stderr


@pytest.mark.needs("npm")
@pytest.mark.slow
def test_a_script_of_npm_is_one_build_and_what_it_starts_is_part_of_it(yard):
    (yard.workspace / "test_it.py").write_text("def test_it():\n    pass\n")
    scripts = {"test": "pytest -q -p no:django --rootdir . && exit 3"}
    (yard.workspace / "package.json").write_text(
        json.dumps({"name": "p", "version": "1.0.0", "scripts": scripts})
    )

    done = yard.run("npm", "test", "--silent")

    report = yard.report()
    assert (done.returncode, "1 passed" in done.stdout) == (3, True)
    assert report | {"tool": "npm", "mode": "test", "exit_code": 3} == report


@pytest.mark.needs("npm")
@pytest.mark.slow
def test_packages_of_npm_are_each_workspace_s_and_its_cache_one(tmp_path):
    package = tmp_path / "made here"
    package.mkdir()
    (package / "package.json").write_text('{"name": "made-here", "version": "1.0.0"}')
    places = [tmp_path / name for name in ("one", "two")]
    caches = set()
    for place in places:
        place.mkdir()
        (place / "package.json").write_text('{"name": "p", "version": "1.0.0"}')
        said = subprocess.run(
            ["npm", "install", "--offline", "--ignore-scripts", "--no-audit", "--install-links", str(package)],
            cwd=place, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert said.returncode == 0, said.stderr
        caches.add(
            subprocess.run(
                ["npm", "config", "get", "cache"], cwd=place, capture_output=True, text=True
            ).stdout
        )

    assert all((place / "node_modules" / "made-here" / "package.json").is_file() for place in places)
    assert len(caches) == 1


@pytest.mark.slow
def test_two_workspaces_have_virtual_environments_of_their_own_and_one_cache_of_pip(tmp_path):
    wheel = tmp_path / "made_here-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("made_here.py", "here = 1\n")
        file.writestr(
            "made_here-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: made-here\nVersion: 1.0\n"
        )
        file.writestr(
            "made_here-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr("made_here-1.0.dist-info/RECORD", "")
    pythons = []
    for name in ("one", "two"):
        venv.create(tmp_path / name / ".venv", with_pip=True)
        pythons.append(tmp_path / name / ".venv" / "bin" / "python")

    said = subprocess.run(
        [pythons[0], "-m", "pip", "install", "--no-index", str(wheel)],
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert said.returncode == 0, said.stderr
    codes = [
        subprocess.run([python, "-c", "import made_here"], capture_output=True).returncode
        for python in pythons
    ]
    caches = {
        subprocess.run([p, "-m", "pip", "cache", "dir"], capture_output=True, text=True).stdout
        for p in pythons
    }
    assert codes == [0, 1]
    assert len(caches) == 1


@pytest.mark.parametrize(
    ("line", "mode"),
    [
        ("pytest -x tests", "test"),
        ("pytest --version", ""),
        ("pytest --collect-only", ""),
        ("mypy", "check"),
        ("mypy --help", ""),
        ("python -m pytest -q", "test"),
        ("python3 -X dev -m mypy .", "check"),
        ("python -m unittest", "test"),
        ("python -m http.server", ""),
        ("python -c pass -m pytest", ""),
        ("python script.py -m pytest", ""),
        ("python", ""),
        ("npm test", "test"),
        ("npm t -- --watch", ""),
        ("npm --prefix web run build", "dev"),
        ("npm run test:unit", "test"),
        ("npm run lint", "check"),
        ("npm run dev", ""),
        ("npm run", ""),
        ("npm install", ""),
        ("npm", ""),
        ("tsc", "dev"),
        ("tsc --noEmit -p .", "check"),
        ("tsc --watch", ""),
        ("tsc --version", ""),
    ],
)
def test_it_knows_what_builds(line, mode):
    tool, *argv = line.split()

    assert planner(tool)(argv, {}).mode == mode


@pytest.mark.slow
def test_a_virtual_environment_of_the_user_is_left_alone(yard):
    assert shutil.which("pytest", path=yard.environment["PATH"]) == str(yard.shims / "pytest")
    (yard.workspace / "test_it.py").write_text(
        "import os\ndef test_it():\n    assert os.environ['VIRTUAL_ENV'] == '/his/own'\n"
    )

    done = yard.run("pytest", "-q", "-p", "no:django", "--rootdir", ".", VIRTUAL_ENV="/his/own")

    assert done.returncode == 0, done.stdout
