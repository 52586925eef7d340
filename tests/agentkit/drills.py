"""Drills run for tests, and what can be seen of them afterwards."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.agentkit.conftest import git
from tests.agentkit.gateway import Gateway

SCRIPT = str(Path(__file__).parents[2] / "agentkit/drill.py")
MODULES: dict[str, str | bytes] = {f"pkg/m{number}.py": f"X = {number}\n" for number in range(30)}
MIXED = MODULES | {
    "README.md": "# Read me\n",
    "src/lib.rs": "pub fn f() -> u8 {\n    1\n}\n",
    "logo.png": b"\x89PNG\0\0",
    "data.txt": b"\0\1\2",
}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-S", "-E", SCRIPT, *arguments]


def drill(
    root: Path, environment: dict[str, str], *arguments: str, agent: str = "w1/agent-05", code: int = 0
) -> tuple[dict[str, Any], list[str]]:
    """The summary and the lines before it."""
    done = subprocess.run(
        command(*arguments),
        cwd=root,
        env=environment | ({"SWARMYARD_AGENT": agent} if agent else {}),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == code, done.stdout + done.stderr
    *lines, last = done.stdout.splitlines()
    return json.loads(last), lines


def connected(environment: dict[str, str], gateway: Gateway) -> dict[str, str]:
    return environment | {"SWARMYARD_GATEWAY": gateway.url, "SWARMYARD_TOKEN": "secret"}


def trees(root: Path, environment: dict[str, str]) -> list[str]:
    return git(root, environment, "log", "--reverse", "--format=%T %s").splitlines()


def changed_files(root: Path, environment: dict[str, str]) -> set[str]:
    listing = git(
        root, environment, "log", "-z", "--format=", "--name-only", f"{first_commit(root, environment)}.."
    )
    return {name for name in re.split("[\0\n]", listing) if name}


def first_commit(root: Path, environment: dict[str, str]) -> str:
    return git(root, environment, "rev-list", "--max-parents=0", "HEAD").strip()


def start(root: Path, environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(*arguments),
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def processes_with(word: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
        except OSError:
            continue
        if words[:1] == [b"sleep"] and word.encode() in words:
            found.append(entry.name)
    return found
