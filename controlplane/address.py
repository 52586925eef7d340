"""Where the console of this home is, for commands that print links to it."""

import logging
from pathlib import Path

from django.conf import settings

log = logging.getLogger(__name__)
DEFAULT = "http://127.0.0.1:8000"


def note_address(address: str) -> None:
    try:
        path().write_text(f"{address}\n")
    except OSError as error:
        log.warning("links from `manage.py signin` will name another address: %s", error)


def last_address() -> str:
    """Where `up` ran last; its default before it ever did."""
    try:
        return path().read_text().strip() or DEFAULT
    except OSError:
        return DEFAULT


def path() -> Path:
    return Path(settings.SWARMYARD_HOME) / "address"
