"""Single processes of a yard for a benchmark, each as the Procfile has it, without those that would start agents."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis
from yard import PROJECT, cpu_seconds, free_port

UP_SECONDS = 60

# Agents without a process: their rows and tokens are all that the gateway looks at.
MAKE_AGENTS = """
import json
from apps.fleet.models import Agent, Host, State
from apps.fleet.tokens import new_agent_token, token_hash
host, _ = Host.objects.get_or_create(name="bench")
tokens, known = [new_agent_token() for _ in range({count})], Agent.objects.count()
rows = [
    Agent(name=f"bench/agent-{{known + number:03}}", group="bench", role="coder", preset="command", host=host,
          state=State.BUSY, token_hash=token_hash(token))
    for number, token in enumerate(tokens)
]
Agent.objects.bulk_create(rows)
print(json.dumps([[row.pk, token] for row, token in zip(rows, tokens, strict=True)]))
"""
COUNTED = """
import json
from django.db.models import Sum
from apps.telemetry.models import AgentTotal
print(json.dumps(AgentTotal.objects.aggregate(operations=Sum("operations"), errors=Sum("errors"))))
"""


class Parts:
    """Use as a context. The yard of `names` (processes of the Procfile) on a home of its own."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self.home = Path(tempfile.mkdtemp(prefix="yard-bench-", dir="/tmp"))
        self.port, self.gateway_port = free_port(), free_port()
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SWARMYARD_")},
            "SWARMYARD_HOME": str(self.home),
            "SWARMYARD_BIND": "127.0.0.1",
            "SWARMYARD_PORT": str(self.port),
            "SWARMYARD_GATEWAY_BIND": "127.0.0.1",
            "SWARMYARD_GATEWAY_PORT": str(self.gateway_port),
        }
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.redis = redis.Redis(unix_socket_path=str(self.home / "redis.sock"), socket_timeout=10)

    def __enter__(self) -> Self:
        self.manage("migrate", "-v", "0")
        commands = dict(
            line.split(": ", 1) for line in (PROJECT / "Procfile").read_text().splitlines() if line
        )
        for name in self.names:
            self.start(name, commands[name])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in reversed(self.running.values()):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if kind is None:
            shutil.rmtree(self.home, ignore_errors=True)

    def start(self, name: str, command: str) -> None:
        words = [self._filled(word) for word in shlex.split(command)]
        words[0] = sys.executable
        log = (self.home / f"{name}.log").open("ab")
        self.running[name] = subprocess.Popen(
            words, cwd=PROJECT, env=self.environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
        ready = {
            "redis": self._redis_answers,
            "web": self._web_answers,
            "gateway": self._gateway_answers,
        }.get(name)
        deadline = time.monotonic() + UP_SECONDS
        while ready is not None and not ready():
            if self.running[name].poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{name} didn't come up; see {self.home}/{name}.log")
            time.sleep(0.05)

    @property
    def gateway(self) -> str:
        return f"ws://127.0.0.1:{self.gateway_port}/ws/v1/agents/"

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def pid(self, name: str) -> int:
        return self.running[name].pid

    def cpu(self) -> dict[str, float]:
        """CPU seconds so far, by process."""
        return {name: cpu_seconds(process.pid) for name, process in self.running.items()}

    def manage(self, *words: str) -> str:
        return subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=PROJECT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        ).stdout

    def ask(self, code: str) -> Any:
        """What a piece of code prints as JSON inside the yard."""
        return json.loads(self.manage("shell", "-v", "0", "-c", code))

    def agents(self, count: int) -> list[tuple[int, str]]:
        """New agents, as their primary keys and tokens."""
        return [(pk, token) for pk, token in self.ask(MAKE_AGENTS.format(count=count))]

    def counted(self) -> int:
        """Operations in the totals of all agents."""
        return int(self.ask(COUNTED)["operations"] or 0)

    def _filled(self, word: str) -> str:
        return self.environment.get(word[1:], word) if word.startswith("$") else word

    def _redis_answers(self) -> bool:
        try:
            return bool(self.redis.ping())
        except redis.RedisError:
            return False

    def _web_answers(self) -> bool:
        return answers(f"{self.address}/")

    def _gateway_answers(self) -> bool:
        return answers(f"http://127.0.0.1:{self.gateway_port}/")


def answers(address: str) -> bool:
    """Whether anything speaks HTTP there, whatever it says."""
    try:
        urllib.request.urlopen(address, timeout=2).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True
