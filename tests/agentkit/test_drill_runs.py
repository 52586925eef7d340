from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.agentkit.conftest import git, wait_until
from tests.agentkit.drills import (
    MODULES,
    SCRIPT,
    command,
    connected,
    drill,
    processes_with,
    start,
)
from tests.agentkit.gateway import Gateway, never_answer


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_finishes_flushes_and_sums_up(
    make_repository: Callable[..., Path], git_home: dict[str, str], gateway: Gateway, number: int
) -> None:
    root = make_repository(MODULES)
    process = start(root, connected(git_home, gateway), "--think-ms", "20")
    wait_until(lambda: len(gateway.samples) >= 3)

    process.send_signal(number)
    output, _ = process.communicate(timeout=10)

    summary = json.loads(output.splitlines()[-1])
    assert process.returncode == 0
    assert summary["stopped"] is True
    assert summary["operations"] == summary["acked"] == len(gateway.samples)
    assert git(root, git_home, "log", "--format=%H").count("\n") == summary["commits"] + 1


def test_told_to_stop_it_does_not_wait_for_a_long_build(
    make_repository: Callable[..., Path], git_home: dict[str, str]
) -> None:
    process = start(make_repository(MODULES), git_home, "--", "sh", "-c", "echo > started; exec sleep 66.5")
    wait_until(lambda: processes_with("66.5"))

    os.killpg(process.pid, signal.SIGTERM)
    output, _ = process.communicate(timeout=10)

    summary = json.loads(output.splitlines()[-1])
    assert process.returncode == 0
    assert (summary["operations"], summary["errors"]) == (1, 0)
    assert not processes_with("66.5")


def test_a_second_signal_ends_it_at_once(
    make_repository: Callable[..., Path], git_home: dict[str, str]
) -> None:
    process = start(make_repository(MODULES), git_home, "--", "sh", "-c", "trap '' TERM; exec sleep 44.5")
    wait_until(lambda: processes_with("44.5"))

    process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    try:
        assert process.wait(timeout=2.5) == -signal.SIGTERM
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # the build, which ignores the polite signal
        process.communicate()


def test_every_operation_reaches_the_gateway(
    make_repository: Callable[..., Path], git_home: dict[str, str], gateway: Gateway
) -> None:
    summary, _ = drill(
        make_repository(MODULES), connected(git_home, gateway), "--operations", "60", "--fail-rate", "0.2"
    )

    outcomes = [sample.outcome for sample in gateway.samples]
    assert summary["acked"] == len(outcomes) == 60
    assert outcomes.count("ok") == summary["ok"]
    assert outcomes.count("induced") == summary["induced"] > 0
    assert {sample.kind for sample in gateway.samples} == {"edit", "commit", "read"}


@pytest.mark.slow
def test_a_gateway_that_never_answers_costs_samples_and_not_the_work(
    make_repository: Callable[..., Path], git_home: dict[str, str], gateway: Gateway
) -> None:
    gateway.behaviour = never_answer
    process = start(make_repository(MODULES), connected(git_home, gateway), "--think-ms", "5")
    wait_until(lambda: gateway.frames)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=10)

    summary = json.loads(output.splitlines()[-1])
    assert summary["acked"] == 0
    assert summary["unacked"] == summary["operations"] > 0


def test_its_first_line_comes_before_anything_of_weight_is_imported(
    make_repository: Callable[..., Path], git_home: dict[str, str], gateway: Gateway
) -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-X", "importtime", SCRIPT, "--operations", "1"],
        cwd=make_repository(MODULES),
        env=connected(git_home, gateway),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=30,
    )
    before, first_line, after = done.stdout.partition("drill without a name: at work")
    until_first_operation = after.partition(" edit ")[0]

    assert first_line
    assert set(imported(before)) <= {
        "os",
        "stat",
        "_stat",
        "posixpath",
        "genericpath",
        "abc",
        "_abc",
        "_collections_abc",
        "__future__",
    } | set(imported(bare_start()))
    heavy = {
        "typing",
        "dataclasses",
        "re",
        "json",
        "argparse",
        "subprocess",
        "asyncio",
        "msgspec",
        "websockets",
        "pathlib",
    }
    assert not heavy & set(imported(until_first_operation))


def bare_start() -> str:
    return subprocess.run(
        [sys.executable, "-S", "-E", "-X", "importtime", "-c", "pass"], capture_output=True, text=True
    ).stderr


def imported(log: str) -> list[str]:
    return [line.rpartition("|")[2].strip() for line in log.splitlines() if line.startswith("import time:")]


def test_the_workspace_s_own_modules_are_never_imported(
    make_repository: Callable[..., Path], git_home: dict[str, str], gateway: Gateway
) -> None:
    trap = "raise SystemExit('imported from the workspace')\n"
    names = ("json", "signal", "select", "time", "agentkit/__init__", "websockets", "msgspec", "random")
    root = make_repository({f"{name}.py": trap for name in names})

    summary, _ = drill(root, connected(git_home, gateway), "--operations", "3")

    assert summary["acked"] == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ["--operations", "-1"],
        ["--operations", "many"],
        ["--operations"],
        ["--fail-rate", "1.5"],
        ["--overlap", "nan"],
        ["--think-ms", "-3"],
        ["--no-such-option", "1"],
        ["-x"],
        ["cargo", "check"],
        ["--build", "make", "--", "make"],
        ["--build", "make 'open"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_told_and_ends_with_2(
    make_repository: Callable[..., Path], arguments: list[str]
) -> None:
    done = subprocess.run(
        command(*arguments), cwd=make_repository({}), capture_output=True, text=True, timeout=30
    )

    assert done.returncode == 2
    assert "See --help" in done.stderr


def test_a_directory_without_a_checkout_is_refused(tmp_path: Path, git_home: dict[str, str]) -> None:
    done = subprocess.run(command(), cwd=tmp_path, env=git_home, capture_output=True, text=True, timeout=30)

    assert done.returncode == 1
    assert "Start the drill inside a git checkout" in done.stderr


def test_without_git_it_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        command(), cwd=tmp_path, env={"PATH": str(tmp_path)}, capture_output=True, text=True, timeout=30
    )

    assert done.returncode == 1
    assert "git can't be run here" in done.stderr


def test_it_writes_the_summary_where_it_is_wanted(
    make_repository: Callable[..., Path], git_home: dict[str, str], tmp_path: Path
) -> None:
    target = tmp_path / "summary.json"

    summary, _ = drill(make_repository(MODULES), git_home, "--operations", "3", "--report", str(target))

    assert json.loads(target.read_text()) == summary


def test_a_log_that_nobody_reads_any_more_does_not_end_the_work(
    make_repository: Callable[..., Path], git_home: dict[str, str], tmp_path: Path
) -> None:
    target = tmp_path / "summary.json"
    process = start(make_repository(MODULES), git_home, "--operations", "30", "--report", str(target))
    assert process.stdout is not None
    process.stdout.close()

    assert process.wait(timeout=20) == 0
    assert json.loads(target.read_text())["ok"] == 30


def test_a_full_disk_is_an_error_and_not_the_end(
    make_repository: Callable[..., Path], git_home: dict[str, str]
) -> None:
    if not shutil.which("prlimit"):
        pytest.skip("prlimit isn't on PATH")
    root = make_repository({"big.py": "X = 1\n" * 500})
    done = subprocess.run(
        ["prlimit", "--fsize=1000", *command("--operations", "3", "--overlap", "1")],
        cwd=root,
        env=git_home,
        capture_output=True,
        text=True,
        timeout=30,
    )

    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["errors"] >= 1
    assert (root / "big.py").read_text() == "X = 1\n" * 500
    assert sorted(os.listdir(root)) == [".git", "big.py"]


def test_it_runs_as_a_module_too(make_repository: Callable[..., Path], git_home: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agentkit.drill", "--operations", "2"],
        cwd=make_repository(MODULES),
        env=git_home | {"PYTHONPATH": str(Path(SCRIPT).parents[1])},
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["commits"] == 1
