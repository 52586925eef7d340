"""The environment that programs we start inherit: the operator's, without what is the control plane's alone."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

# The control plane's own secrets and addresses are nothing to a program that it starts.
PRIVATE = {
    *("SECRET_KEY", "DATABASE_URL", "REDIS_URL"),
    *("DJANGO_SETTINGS_MODULE", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS"),
}
PRIVATE_PREFIXES = ("SWARMYARD_", "HONCHO_", "PG")
# `git rev-parse --local-env-vars`: inherited, these would point every git at another repository.
GIT_LOCATION = {
    *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_CONFIG", "GIT_CONFIG_COUNT"),
    *("GIT_CONFIG_PARAMETERS", "GIT_DIR", "GIT_GRAFT_FILE", "GIT_IMPLICIT_WORK_TREE", "GIT_INDEX_FILE"),
    *("GIT_INTERNAL_SUPER_PREFIX", "GIT_NAMESPACE", "GIT_NO_REPLACE_OBJECTS", "GIT_OBJECT_DIRECTORY"),
    *("GIT_PREFIX", "GIT_REPLACE_REF_BASE", "GIT_SHALLOW_FILE", "GIT_WORK_TREE"),
}


def passed_on(inherited: Mapping[str, str]) -> dict[str, str]:
    dropped = PRIVATE | GIT_LOCATION
    kept = {
        name: value
        for name, value in inherited.items()
        if name not in dropped and not name.startswith(PRIVATE_PREFIXES)
    }
    return without_our_python(kept) if is_our_python(kept.get("VIRTUAL_ENV", "")) else kept


def is_our_python(virtual_env: str) -> bool:
    return (
        sys.prefix != sys.base_prefix
        and bool(virtual_env)
        and Path(virtual_env).resolve() == Path(sys.prefix).resolve()
    )


def without_our_python(environment: Mapping[str, str]) -> dict[str, str]:
    """Where `up` was called with our virtual environment activated: an agent's `pip install` would change it."""
    ours = str(Path(environment["VIRTUAL_ENV"]) / "bin")
    path = [place for place in environment.get("PATH", os.defpath).split(os.pathsep) if place != ours]
    others = {
        name: value
        for name, value in environment.items()
        if name not in ("VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT")
    }
    return others | {"PATH": os.pathsep.join(path)}
