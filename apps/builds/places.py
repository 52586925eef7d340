"""Where the builds of this host have their files, all below the home."""

import os
import shlex
import shutil
import sys
from pathlib import Path

from django.conf import settings

from apps.lib.environment import passed_on
from apps.lib.paths import write_whole
from apps.workspaces.models import Repository, Workspace

ALWAYS = ("cargo",)
# Only where they are found: who asks `command -v tsc` shall not be told of one that isn't there.
WHERE_FOUND = ("pytest", "mypy", "npm", "tsc")


def root() -> Path:
    return settings.SWARMYARD_HOME / "builds"


def directories_of(workspace: Workspace) -> Path:
    """Holds a build directory for each key."""
    return root() / "directories" / str(workspace.pk)


def by_hand() -> Path:
    """Holds, by who builds and by checkout, the build directories of people: see by_hand.py."""
    return root() / "by-hand"


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


def jobserver() -> Path:
    return root() / "jobserver"


def reports() -> Path:
    return root() / "reports"


def git_traces() -> Path:
    return root() / "git"


def shims() -> Path:
    return root() / "shims"


def compiler_cache() -> Path:
    """All that the host's sccache has: see sccache.py."""
    return root() / "sccache"


def make_ready() -> None:
    """Directories that shims write into, and the shims themselves. Safe to repeat."""
    for place in (slots(), reports(), shims(), jobserver(), git_traces()):
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
    agentkit = settings.BASE_DIR / "agentkit"
    words = [sys.executable, "-IS"]
    if not os.access(agentkit / "building", os.W_OK):  # Python would compile it each time
        words += ["-X", f"pycache_prefix={root() / 'compiled'}"]
    start = shlex.join([*words, str(agentkit / "shims.py")])
    for tool in (*ALWAYS, *WHERE_FOUND):
        if tool in ALWAYS or found_elsewhere(tool):
            write_script(shims() / tool, f"{start} {tool}")
        else:
            (shims() / tool).unlink(missing_ok=True)
    write_script(shims() / "yard", shlex.join([sys.executable, "-I", str(agentkit)]))


def found_elsewhere(tool: str) -> bool:
    """On PATH, and not as a shim of ours."""
    directories = passed_on(os.environ).get("PATH", os.defpath).split(os.pathsep)
    others = [directory for directory in directories if Path(directory).resolve() != shims().resolve()]
    return shutil.which(tool, path=os.pathsep.join(others)) is not None


def write_script(path: Path, command: str) -> None:
    write_whole(path, f'#!/bin/sh\nexec {command} "$@"\n'.encode(), mode=0o755)
