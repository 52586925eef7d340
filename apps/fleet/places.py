"""Where the files of agents lie below the home."""

import functools
import secrets
from pathlib import Path

from django.conf import settings

from apps.fleet.models import Agent
from apps.lib.paths import read_or_make


def home_id() -> str:
    """A short name of this home, so that two yards on one machine never take each other's agents for their own."""
    return read_or_make_id(settings.SWARMYARD_HOME / "home_id")


@functools.cache
def read_or_make_id(path: Path) -> str:
    return read_or_make(path, lambda: secrets.token_hex(6))


def presets_dir() -> Path:
    """The operator's own presets."""
    return settings.SWARMYARD_HOME / "presets"


def run_dir(agent: Agent, epoch: int | None = None) -> Path:
    """The directory of one start of an agent: its log, pid and exit status."""
    return settings.SWARMYARD_HOME / "runs" / str(agent.pk) / str(agent.epoch if epoch is None else epoch)


def marker(agent: Agent) -> str:
    """What the environment of every process of this start carries as SWARMYARD_RUN."""
    return f"{home_id()}.{agent.pk}.{agent.epoch}"
