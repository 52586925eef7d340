"""Which repository is meant, and where it is looked at."""

from pathlib import Path

from django.conf import settings

from apps.lib.text import can_be_stored
from apps.workspaces.models import Repository


def local_path(text: str) -> Path | None:
    """The real path that a person means by `text`; None when it can't be one."""
    try:
        return Path(text).expanduser().resolve()
    except (OSError, RuntimeError, ValueError):  # an unknown ~user, a loop of links, a NUL
        return None


def find_repository(name_or_path: str) -> Repository | None:
    """A registered repository, by its name or by where it lies."""
    if not name_or_path or not can_be_stored(name_or_path):
        return None
    path = local_path(name_or_path)
    named = Repository.objects.filter(name=name_or_path).first()
    return named or (Repository.objects.filter(path=str(path)).first() if path else None)


def this_host() -> str:
    """The queue of work that needs this machine's disks: those on which paths of repositories are looked up."""
    return f"host.{settings.HOST_NAME}"
