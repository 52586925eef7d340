"""Where the console of this home is, for commands that print links to it."""

from pathlib import Path

from django.conf import settings

DEFAULT = "http://127.0.0.1:8000"


def note_address(address: str) -> None:
    path().write_text(f"{address}\n")


def last_address() -> str:
    """Where `up` ran last; its default before it ever did."""
    try:
        return path().read_text().strip() or DEFAULT
    except OSError:
        return DEFAULT


def path() -> Path:
    return Path(settings.SWARMYARD_HOME) / "address"
