from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agentkit import wire
from tests.agentkit.conftest import wait_until
from tests.agentkit.gateway import Gateway, never_answer

DIRECTORY = str(Path(__file__).parents[2] / "agentkit")


def command(*arguments: str) -> list[str]:
    return [sys.executable, DIRECTORY, *arguments]


def environment(gateway: Gateway | None = None, **more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SWARMYARD_")}
    address = {"SWARMYARD_GATEWAY": gateway.url, "SWARMYARD_TOKEN": "secret"} if gateway else {}
    return kept | address | more


def yard(*arguments: str, gateway: Gateway | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), env=environment(gateway, **more), capture_output=True, text=True, timeout=30
    )


def test_it_tells_an_agent_who_it_is_and_keeps_the_token_to_itself() -> None:
    done = yard(
        "status",
        SWARMYARD_AGENT="w12/agent-05",
        SWARMYARD_WAVE="w12",
        SWARMYARD_WORKSPACE="/somewhere/agent 05",
        SWARMYARD_TOKEN="hidden",
    )

    assert done.returncode == 0
    assert done.stdout.splitlines()[:3] == [
        "agent         w12/agent-05",
        "wave          w12",
        "workspace     /somewhere/agent 05",
    ]
    assert "hidden" not in done.stdout + done.stderr


def test_outside_of_a_swarm_it_says_so() -> None:
    done = yard("status")

    assert done.returncode == 1
    assert "Swarmyard didn't start this process" in done.stderr


def test_it_reports_one_operation_and_waits_until_it_is_recorded(gateway: Gateway) -> None:
    done = yard(
        "report", "search", "--ms", "12.5", "--outcome", "error", "--note", "no hits", gateway=gateway
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    [sample] = gateway.samples
    assert (sample.kind, sample.ms, sample.outcome, sample.note) == ("search", 12.5, "error", "no hits")
    assert abs(sample.end - time.time()) < 30


def test_a_report_that_is_not_recorded_is_a_failure(gateway: Gateway) -> None:
    gateway.refuse_close = (4401, "token expired")

    done = yard("report", "search", "--ms", "1", gateway=gateway)

    assert done.returncode == 1
    assert "wasn't recorded: the gateway closed with 4401 token expired" in done.stderr


def test_without_a_gateway_a_report_fails_with_the_reason() -> None:
    done = yard("report", "search", "--ms", "1")

    assert done.returncode == 1
    assert "SWARMYARD_GATEWAY isn't set" in done.stderr


@pytest.mark.parametrize(
    ("script", "code", "outcome"), [("exit 0", 0, "ok"), ("exit 7", 7, "error"), ("kill -9 $$", 137, "error")]
)
def test_it_times_a_command_and_ends_as_it_did(
    gateway: Gateway, script: str, code: int, outcome: str
) -> None:
    done = subprocess.run(
        command("time", "build", "--", "sh", "-c", f"cat; echo told >&2; sleep 0.1; {script}"),
        env=environment(gateway),
        input="typed",
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert (done.returncode, done.stdout, done.stderr) == (code, "typed", "told\n")
    [sample] = gateway.samples
    assert (sample.kind, sample.outcome) == ("build", outcome)
    assert 100 <= sample.ms < 5000
    assert sample.memory > 100_000


def test_a_command_runs_without_a_gateway_too() -> None:
    done = yard("time", "build", "--", "sh", "-c", "echo done; exit 3")

    assert (done.returncode, done.stdout, done.stderr) == (3, "done\n", "")


def test_a_gateway_that_does_not_answer_changes_nothing_about_the_command(gateway: Gateway) -> None:
    gateway.behaviour = never_answer

    done = yard("time", "build", "--", "true", gateway=gateway)

    assert done.returncode == 0
    assert "wasn't recorded" in done.stderr


def test_a_command_that_is_missing_ends_with_127_and_is_an_error(gateway: Gateway) -> None:
    done = yard("time", "build", "--", "no-such-program-here", gateway=gateway)

    assert done.returncode == 127
    assert "can't be run" in done.stderr
    assert [sample.outcome for sample in gateway.samples] == ["error"]


def test_a_signal_is_passed_on_to_the_command_and_still_reported(gateway: Gateway) -> None:
    process = subprocess.Popen(
        command(
            "time", "build", "--", "sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.02; done"
        ),
        env=environment(gateway),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"

    process.send_signal(signal.SIGTERM)

    assert process.wait(timeout=10) == 9
    process.stdout.close()
    wait_until(lambda: gateway.samples)


@pytest.mark.parametrize(
    "arguments",
    [
        ["reprot"],
        ["status", "please"],
        ["report"],
        ["report", "edit"],
        ["report", "edit", "--ms", "-1"],
        ["report", "edit", "--ms", "1", "--outcome", "fine"],
        ["report", "No Kind", "--ms", "1"],
        ["time", "build"],
        ["time", "--", "true"],
        ["time", "No Kind", "--", "true"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_told_and_ends_with_2(gateway: Gateway, arguments: list[str]) -> None:
    done = yard(*arguments, gateway=gateway)

    assert done.returncode == 2
    assert "See yard --help" in done.stderr
    assert gateway.frames == []


def test_help_names_every_command() -> None:
    done = yard("--help")

    assert done.returncode == 0
    assert all(f"yard {name}" in done.stdout for name in ("status", "report", "time"))


def test_it_runs_as_a_module_too(gateway: Gateway) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agentkit", "report", "search", "--ms", "1"],
        env=environment(gateway, PYTHONPATH=str(Path(DIRECTORY).parent)),
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert done.returncode == 0, done.stderr
    assert isinstance(gateway.samples[0], wire.Sample)
