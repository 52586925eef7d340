"""Where the builds of this host have their files, all below the home."""

import shlex
import sys
from pathlib import Path

from django.conf import settings

from apps.lib.paths import write_whole
from apps.workspaces.models import Repository, Workspace

SHIMMED = ("cargo",)


def root() -> Path:
    return settings.SWARMYARD_HOME / "builds"


def directories_of(workspace: Workspace) -> Path:
    """Holds a build directory for each key."""
    return root() / "directories" / str(workspace.pk)


def base_of(repository: Repository) -> Path:
    """Holds all that there is of the repository's base on this host: see bases.py."""
    return root() / "bases" / str(repository.pk)


def view_of(repository_pk: int) -> Path:
    """Where agents of this repository, and its base, see what is theirs: see views.py."""
    return root() / "views" / str(repository_pk)


def pointers() -> Path:
    """What workspaces that are seen elsewhere have in place of a file of git's: see views.py."""
    return root() / "pointers"


def slots() -> Path:
    return root() / "slots"


def reports() -> Path:
    return root() / "reports"


def shims() -> Path:
    return root() / "shims"


def make_ready() -> None:
    """Directories that shims write into, and the shims themselves. Safe to repeat."""
    for place in (slots(), reports(), shims()):
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
    start = shlex.join([sys.executable, "-IS", str(settings.BASE_DIR / "agentkit" / "shims.py")])
    for tool in SHIMMED:
        write_whole(shims() / tool, f'#!/bin/sh\nexec {start} {tool} "$@"\n'.encode(), mode=0o755)
