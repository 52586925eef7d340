"""The environment that programs we start inherit: the operator's, without what is the control plane's alone."""

from collections.abc import Mapping

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
    return {
        name: value
        for name, value in inherited.items()
        if name not in dropped and not name.startswith(PRIVATE_PREFIXES)
    }
