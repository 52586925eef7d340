from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.agentkit.conftest import wait_until
from tests.agentkit.drills import (
    MODULES,
    connected,
    drill,
    processes_with,
    start,
)
from tests.agentkit.gateway import Gateway


def test_it_measures_how_long_it_waited_for_the_index(
    make_repository: Callable[..., Path], git_home: dict[str, str], gateway: Gateway
) -> None:
    root = make_repository(MODULES)
    lock = root / ".git/index.lock"
    lock.touch()

    process = start(root, connected(git_home, gateway), "--operations", "2")
    assert process.stdout is not None
    wait_until(lambda: " edit " in process.stdout.readline())  # type: ignore[union-attr]
    time.sleep(0.3)
    lock.unlink()
    *lines, last = process.communicate(timeout=20)[0].splitlines()

    summary = json.loads(last)
    assert summary["wait_ms"] > 200
    assert "for a lock" in lines[-1]
    commit = gateway.samples[-1]
    assert (commit.kind, commit.wait_kind, commit.outcome) == ("commit", "vcs", "ok")
    assert commit.wait_ms == pytest.approx(summary["wait_ms"], abs=1)
    assert commit.ms > commit.wait_ms


def test_it_measures_how_long_a_build_waited_for_its_lock(
    make_repository: Callable[..., Path], git_home: dict[str, str], gateway: Gateway
) -> None:
    root = make_repository(MODULES)
    says = "    Blocking waiting for file lock on build directory"
    script = f"echo '{says}' >&2; sleep 0.2; echo '   Checking x' >&2; sleep 0.1"

    drill(root, connected(git_home, gateway), "--operations", "2", "--", "sh", "-c", script)

    build = gateway.samples[-1]
    assert (build.kind, build.wait_kind) == ("build", "build-directory")
    assert 150 < build.wait_ms < build.ms - 50
    assert build.memory > 100_000


def test_a_failing_build_is_an_error_and_shows_its_last_lines(
    make_repository: Callable[..., Path], git_home: dict[str, str]
) -> None:
    summary, lines = drill(
        make_repository(MODULES),
        git_home,
        "--operations",
        "4",
        "--",
        "sh",
        "-c",
        "seq 100; printf '\\033[31mbad'; exit 3",
    )

    assert (summary["ok"], summary["errors"], summary["commits"]) == (3, 1, 1)
    assert "      | 100" in lines
    assert "      | ?[31mbad" in lines
    assert "      | 90" not in lines
    assert any("exit code 3" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--", "no-such-program-here"], "can't be run: No such file"),
        (["--timeout", "0.2", "--", "sh", "-c", "yes"], "took too long"),
        (["--", "sh", "-c", "kill -9 $$"], "ended by signal 9"),
        (["--build", "sh -c 'exit 4'"], "exit code 4"),
    ],
    ids=["missing", "endless output", "killed", "one argument"],
)
def test_whatever_the_build_does_the_drill_goes_on(
    make_repository: Callable[..., Path], git_home: dict[str, str], arguments: list[str], why: str
) -> None:
    summary, lines = drill(make_repository(MODULES), git_home, "--operations", "4", *arguments)

    assert (summary["operations"], summary["errors"], summary["commits"]) == (4, 1, 1)
    assert any(why in line for line in lines)


def test_of_a_build_that_takes_too_long_nothing_is_left(
    make_repository: Callable[..., Path], git_home: dict[str, str]
) -> None:
    endless = ["--timeout", "0.2", "--", "sh", "-c", "sleep 77.5 & sleep 77.5"]

    summary, lines = drill(make_repository(MODULES), git_home, "--operations", "4", *endless)

    assert (summary["operations"], summary["errors"], summary["commits"]) == (4, 1, 1)
    assert any("took too long" in line for line in lines)
    assert not processes_with("77.5")


def test_a_daemon_that_a_build_leaves_behind_does_not_hold_it_up(
    make_repository: Callable[..., Path], git_home: dict[str, str]
) -> None:
    drill(make_repository(MODULES), git_home, "--operations", "2", "--", "sh", "-c", "sleep 55.5 & exit 0")

    left = processes_with("55.5")
    for pid in left:
        os.kill(int(pid), signal.SIGKILL)
    assert len(left) == 1


def test_a_check_comes_between_edit_and_build(
    make_repository: Callable[..., Path], git_home: dict[str, str], gateway: Gateway
) -> None:
    arguments = ("--operations", "5", "--check", "sh -c 'echo quick'", "--", "true")

    summary, _ = drill(make_repository(MODULES), connected(git_home, gateway), *arguments)

    assert summary["ok"] == 5
    assert [sample.kind for sample in gateway.samples] == ["edit", "check", "build", "commit", "read"]


def test_a_check_that_no_shell_could_split_is_refused(
    make_repository: Callable[..., Path], git_home: dict[str, str]
) -> None:
    done = start(make_repository(MODULES), git_home, "--check", "echo 'open")
    assert done.wait(20) == 2


def test_waits_of_builds_that_the_host_measures_count_once(
    make_repository: Callable[..., Path], git_home: dict[str, str], gateway: Gateway
) -> None:
    script = "echo '    Blocking waiting for file lock on build directory' >&2; sleep 0.2; echo ' x' >&2"
    environment = connected(git_home, gateway) | {"SWARMYARD_SHIMS": "/nowhere"}

    drill(make_repository(MODULES), environment, "--operations", "2", "--", "sh", "-c", script)

    assert (gateway.samples[-1].wait_ms, gateway.samples[-1].wait_kind) == (0, "")
