"""The demo: what a new user sees first."""

import json
import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from controlplane.demo import make_repository, rust_builds
from tests.needs import require
from tests.workspaces.repositories import git

from .running import Yard, until


def test_its_repository_is_whole_and_stays_clean_after_builds(tmp_path: Path) -> None:
    require("cargo")
    repository = make_repository(tmp_path / "measures")

    done = subprocess.run(
        ["python3", "-m", "unittest", "-q"], cwd=repository, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    said = subprocess.run(
        ["cargo", "run", "--quiet", "--locked", "--bin", "convert", "mile", "2"],
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert said.stdout == "3218.688\n"
    assert git(repository, "status", "--short") == ""


def test_agents_build_what_the_machine_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = make_repository(tmp_path / "measures")
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))

    assert not rust_builds(repository)
    script = programs / "cargo"
    script.write_text("#!/bin/sh\nexit 1\n")  # rustup's, without a toolchain
    script.chmod(0o755)
    assert not rust_builds(repository)
    script.write_text("#!/bin/sh\nexit 0\n")
    assert rust_builds(repository)
    (repository / "Cargo.toml").unlink()  # as older versions made it
    assert not rust_builds(repository)


@pytest.fixture
def demo():
    require("cargo")
    yard = Yard()
    yard.start("--agents", "8", command="demo")
    token = yard.run("apitoken", "make", "--name", "test", "--role", "viewer").stdout.decode().strip()

    def ask(path: str):
        request = Request(
            f"http://127.0.0.1:{yard.port}/api/v1{path}", headers={"Authorization": f"Bearer {token}"}
        )
        with urlopen(request, timeout=60) as answer:
            return json.load(answer)

    yard.ask = ask
    yield yard
    yard.close()


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.timeout(600)
def test_eight_agents_check_and_test_at_once_and_nobody_waits_for_a_build_directory(demo, tmp_path) -> None:
    """With cargo's own directory this is "Blocking waiting for file lock on build directory"."""

    def passed() -> list[dict]:
        return demo.ask("/builds?state=passed&limit=1000")

    def rounds() -> Counter[tuple[str, str]]:
        return Counter((build["agent"], build["mode"]) for build in passed() if build["agent"])

    def all_have(times: int) -> bool:
        found = rounds()
        agents = {agent for agent, _ in found}
        return len(agents) == 8 and all(
            found[agent, mode] >= times for agent in agents for mode in ("check", "test")
        )

    until(lambda: all_have(3), 240)
    seen = shown_live(demo)

    builds = [demo.ask(f"/builds/{build['id']}") for build in passed()]
    waits = Counter(wait["kind"] for build in builds for wait in build["waits"])
    assert waits["build-directory"] == waits["artifact-directory"] == 0, waits
    directories = demo.ask("/build-directories")
    owners = Counter(directory["agent"] for directory in directories if directory["agent"])
    assert len(owners) == 8, "each agent has one of its own"
    assert set(owners.values()) == {1}
    assert demo.ask("/builds?state=failed") == []
    assert not [alert for alert in demo.ask("/alerts") if alert["rule"] == "agent-memory"]
    assert len(seen) > 1, "the page moved without being loaded again"


def shown_live(demo: Yard) -> set[str]:
    """Texts of the first row of the builds page, as they change while it is open."""
    require("chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    link = demo.run("signin").stdout.decode().split()[-1]
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.goto(link)
        if page.locator("form button[type=submit]").count():
            page.locator("form button[type=submit]").first.click()
        page.goto(f"http://127.0.0.1:{demo.port}/builds/")
        page.wait_for_selector("table.builds tbody tr")
        page.evaluate("window.stillTheSamePage = true")
        rows: set[str] = set()

        def changed() -> bool:
            rows.add(page.locator("table.builds tbody tr").first.inner_text())
            return len(rows) > 1

        until(changed, 60)
        assert page.evaluate("window.stillTheSamePage")
        if place := os.environ.get("PICTURES"):
            page.screenshot(path=f"{place}/builds-live.png")
        browser.close()
    return rows
