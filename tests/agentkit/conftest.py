from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.agentkit.gateway import Gateway


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    server = Gateway().start()
    yield server
    server.stop()


@pytest.fixture
def git_home(tmp_path: Path) -> dict[str, str]:
    """An environment in which git knows nobody, and nothing of the machine's own settings."""
    home = tmp_path / "home"
    home.mkdir()
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "SWARMYARD_", "EMAIL"))
    }
    return kept | {"HOME": str(home), "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


@pytest.fixture
def make_repository(tmp_path: Path, git_home: dict[str, str]) -> Callable[..., Path]:
    def make(files: dict[str, str | bytes], name: str = "workspace") -> Path:
        root = tmp_path / name
        root.mkdir()
        git(root, git_home, "init", "-q", "-b", "main")
        for path, content in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content.encode() if isinstance(content, str) else content)
        if files:
            git(root, git_home, "add", "-A")
            git(
                root,
                git_home,
                "-c",
                "user.name=Ada",
                "-c",
                "user.email=ada@example.org",
                "commit",
                "-qm",
                "start",
            )
        return root

    return make


def git(root: Path, environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=root, env=environment, capture_output=True, text=True, check=True, timeout=30
    )
    return done.stdout


def wait_until(condition: Callable[[], object], timeout: float = 10.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it didn't happen in time"
        time.sleep(0.005)
