"""What a test needs of the machine. Without it a user's run skips the test and says why; CI fails it."""

import functools
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest


def needs(*names: str) -> pytest.MarkDecorator:
    """`@needs("chromium")`, for a test or as `pytestmark`: programs on PATH, or names of CHECKS."""
    return pytest.mark.needs(*names)  # conftest.py looks at it before each test


def require(name: str) -> None:
    """The same inside of a fixture or a test."""
    if (reason := why_missing(name)) is None:
        return
    if os.environ.get("CI"):
        pytest.fail(f"CI must run this: {reason}", pytrace=False)
    pytest.skip(reason)


def why_missing(name: str) -> str | None:
    if name in CHECKS:
        return CHECKS[name]()
    return None if shutil.which(name) else f"{name} is not installed"


def postgresql_bin() -> Path | None:
    """The directory of PostgreSQL's own programs; Debian keeps them off PATH."""
    on_path = [Path(found).parent] if (found := shutil.which("initdb")) else []
    packaged = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name)
    places = [*reversed(packaged), *on_path]
    return next((place for place in places if (place / "initdb").exists()), None)


def _chromium() -> str | None:
    found = any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    return None if found else "no Chromium is installed"


def _postgresql() -> str | None:
    return None if postgresql_bin() else "no PostgreSQL server is installed"


@functools.cache
def own_mounts() -> tuple[str, ...]:
    """The words before a command that let it mount what nobody else sees; none where that isn't allowed."""
    for words in (("unshare", "-rm"), ("unshare", "-m")):
        command = [*words, "mount", "-t", "tmpfs", "none", "/mnt"]
        if (
            shutil.which("unshare")
            and subprocess.run(command, capture_output=True, timeout=20).returncode == 0
        ):
            return words
    return ()


def _mounts() -> str | None:
    return None if own_mounts() else "nothing can be mounted here (unshare -rm)"


def _sccache() -> str | None:
    from apps.builds import sccache

    try:
        sccache.installed()
    except sccache.CacheRefused as error:
        return str(error)
    return None


CHECKS: dict[str, Callable[[], str | None]] = {
    "chromium": _chromium,
    "postgresql": _postgresql,
    "mounts": _mounts,
    "sccache": _sccache,
}
