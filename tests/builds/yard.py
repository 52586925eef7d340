"""A package that is built by agents of this yard: their workspaces, and `cargo` behind its shim."""

import os
import subprocess
from pathlib import Path

from apps.builds import places
from apps.builds.preparing import environments_for
from apps.fleet.models import Agent
from apps.fleet.places import marker
from apps.workspaces.models import Workspace
from tests.builds.crates import make_crates


def build_environment(agent: Agent, **more: str) -> dict[str, str]:
    """As `starting` makes it, as far as builds go."""
    workspace = Workspace.objects.get(agent=agent)
    given = environments_for([workspace])[workspace.pk]
    plain = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CARGO_", "SWARMYARD_", "RUSTC_", "RUSTFLAGS"))
    }
    return (
        plain
        | given
        | {"PATH": f"{places.shims()}:{os.environ['PATH']}", "SWARMYARD_RUN": marker(agent)}
        | {"SWARMYARD_AGENT": agent.name}
        | more
    )


def start_cargo(agent: Agent, *argv: str, **more: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["cargo", *argv],
        cwd=agent.workspace_path,
        env=build_environment(agent, **more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def make_package(agent: Agent, place: Path) -> Path:
    """Two crates in the agent's workspace."""
    make_crates(place, {"base": [], "app": ["base"]}, binary="app")
    Agent.objects.filter(pk=agent.pk).update(workspace_path=str(place))
    agent.refresh_from_db()
    return place
