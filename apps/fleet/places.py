"""Where the files of agents lie below the home."""

import functools
import secrets
from pathlib import Path

from django.conf import settings

from apps.fleet.models import Agent


def home_id() -> str:
    """A short name of this home, so that two yards on one machine never take each other's agents for their own."""
    return read_or_make_id(settings.SWARMYARD_HOME / "home_id")


@functools.cache
def read_or_make_id(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        draft = path.with_suffix(f".{secrets.token_hex(4)}")
        draft.write_text(secrets.token_hex(6))
        try:
            path.hardlink_to(draft)  # whole or not at all, and the first one wins
        except FileExistsError:
            pass
        finally:
            draft.unlink()
        return path.read_text().strip()


def presets_dir() -> Path:
    """The operator's own presets."""
    return settings.SWARMYARD_HOME / "presets"


def run_dir(agent: Agent, epoch: int | None = None) -> Path:
    """The directory of one start of an agent: its log, pid and exit status."""
    return settings.SWARMYARD_HOME / "runs" / str(agent.pk) / str(agent.epoch if epoch is None else epoch)


def marker(agent: Agent) -> str:
    """What the environment of every process of this start carries as SWARMYARD_RUN."""
    return f"{home_id()}.{agent.pk}.{agent.epoch}"
