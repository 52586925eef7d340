"""The operator's own targets, from `service-levels.toml` in the home."""

import tomllib
from pathlib import Path

from django.conf import settings

from apps.lib.regular import read_regular
from apps.telemetry.domain.service_levels import DEFAULTS, Targets, targets_of

FILE = "service-levels.toml"
MAX_BYTES = 16_384


def targets_file() -> Path:
    return Path(settings.SWARMYARD_HOME) / FILE


def configured_targets() -> tuple[Targets, str]:
    """The targets that hold now, and what is wrong with the operator's file: with a problem, the defaults hold."""
    try:
        content = read_regular(targets_file(), MAX_BYTES + 1, follow=True)
        if len(content) > MAX_BYTES:
            return DEFAULTS, f"{FILE} has more than {MAX_BYTES} bytes"
        return targets_of(tomllib.loads(content.decode())), ""
    except FileNotFoundError:
        return DEFAULTS, ""
    except (OSError, ValueError, RecursionError) as error:  # not UTF-8, not TOML, not targets
        return DEFAULTS, f"{FILE}: {error}"
