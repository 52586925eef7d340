"""From an agent's row to its launch: argv, environment, stdin."""

import json
import os
import sys
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from django.conf import settings

from apps.fleet import cgroup, view
from apps.fleet.domain.gateway import otlp_endpoint, otlp_headers
from apps.fleet.domain.preset import Launch, LaunchValues, Preset, launch_environment, render
from apps.fleet.launcher import MARKER, Order
from apps.fleet.models import Agent
from apps.fleet.places import marker, run_dir
from apps.fleet.watch import USAGE_BEFORE, recorded_usage
from apps.lib.environment import passed_on

MB = 1024 * 1024
SHIMS = "SWARMYARD_SHIMS"  # a directory that comes first in the PATH of an agent that is given one
GIT_TRACE = "GIT_TRACE2_"


def order_for(agent: Agent, preset: Preset, token: str) -> Order:
    """What the launcher is to start for this epoch. Raises LaunchRefused or PresetError for people to read."""
    directory = run_dir(agent)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(directory / USAGE_BEFORE, json.dumps(asdict(recorded_usage(agent))).encode())
    launch = render(preset, values_for(agent, directory, token))
    return Order(
        run_dir=directory,
        argv=[*view.prefix(agent.view, view.workspace_of(agent)), *launch.argv],
        env=environment_for(agent, launch, token, os.environ),
        cwd=Path(agent.workspace_path),
        stdin_path=write_private(directory / "stdin", launch.stdin) if launch.stdin is not None else None,
        segment_bytes=settings.AGENT_LOG_SEGMENT_BYTES,
        cgroup_procs=limited_group(agent, preset),
    )


def values_for(agent: Agent, directory: Path, token: str) -> LaunchValues:
    prompt_file = write_private(directory / "prompt", agent.prompt.encode("utf-8", "replace"))
    return LaunchValues(
        workspace=view.workspace_of(agent),
        prompt=agent.prompt,
        prompt_file=str(prompt_file),
        session_id=str(uuid.uuid4()),
        git_dir=agent.git_directory,
        python=sys.executable,
        project=str(settings.BASE_DIR),
        otlp_endpoint=otlp_endpoint(settings.GATEWAY_URL),
        otlp_headers=otlp_headers(token),
        command=tuple(agent.command),
    )


def environment_for(agent: Agent, launch: Launch, token: str, inherited: Mapping[str, str]) -> dict[str, str]:
    own = launch_environment(launch, passed_on(inherited))
    environment = own | {name: value for name, value in agent.environment.items() if not yields(name, own)}
    if shims := agent.environment.get(SHIMS):
        environment["PATH"] = os.pathsep.join([shims, environment.get("PATH") or os.defpath])
    return environment | {
        MARKER: marker(agent),
        "SWARMYARD_AGENT": agent.name,
        "SWARMYARD_WAVE": agent.group,
        "SWARMYARD_WORKSPACE": view.workspace_of(agent),
        "SWARMYARD_RUN_DIR": str(run_dir(agent)),
        "SWARMYARD_GATEWAY": settings.GATEWAY_URL,
        "SWARMYARD_TOKEN": token,
    }


def yields(name: str, own: Mapping[str, str]) -> bool:
    """Where a preset has git tell what it does to somebody else, ours has to do without."""
    return name.startswith(GIT_TRACE) and f"{GIT_TRACE}EVENT" in own


def write_private(path: Path, content: bytes) -> Path:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    return path


def limited_group(agent: Agent, preset: Preset) -> Path | None:
    """The control group that holds the preset's hard memory limit, where the preset wants one."""
    if preset.memory_limit_mb is None:
        return None
    try:
        group = cgroup.create(marker(agent), preset.memory_limit_mb * MB, cgroup.root_of_limits())
    except cgroup.NoControlGroup as error:
        raise cgroup.NoControlGroup(
            f"its preset sets a hard memory limit, which this host can't: {error}"
        ) from error
    return group.procs
