"""New agents without a warm start, but with a filled sccache: as it is recommended, without incremental compilation."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

from report import say
from warm_yard import BuildingAgent, WarmYard


class CompilerCache:
    """A server and a cache of this run's own. Agents build in `target` of their checkouts, without our shims: nothing
    is found where any variable of cargo's differs, as that of the build directory would."""

    def __init__(self, yard: WarmYard, place: Path, program: str) -> None:
        self.yard, self.program = yard, program
        self.given = {
            "RUSTC_WRAPPER": program,
            "CARGO_INCREMENTAL": "0",
            "SCCACHE_DIR": str(place / "sccache"),
            "SCCACHE_SERVER_PORT": str(free_port()),
            "SCCACHE_IDLE_TIMEOUT": "0",
        }
        subprocess.run(
            [program, "--start-server"], env={**os.environ, **self.given}, check=True, capture_output=True
        )

    def agent(self) -> BuildingAgent:
        agent = self.yard.agent(warm=False)
        agent.leave_yard(self.given)
        agent.built = agent.path / "target"
        return agent


def compiler_cache(yard: WarmYard, place: Path, script: str) -> CompilerCache | None:
    """Filled by one agent; None where there is no sccache."""
    program = shutil.which("sccache")
    if program is None:
        say("no sccache on PATH: that arm is left out")
        return None
    cache = CompilerCache(yard, place, program)
    filled = cache.agent()
    filled.build(script)
    filled.empty()
    return cache


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
