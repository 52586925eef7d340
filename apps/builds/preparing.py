"""What an agent is given for its builds, when its workspace is made."""

from collections.abc import Iterable

from apps.builds import places
from apps.builds.models import BuildOptions
from apps.builds.sccache import wrapper
from apps.workspaces.models import Workspace


def environments_for(workspaces: Iterable[Workspace]) -> dict[int, dict[str, str]]:
    """By the workspace's primary key: variables by which the shims know what to do (docs/reference/builds.md)."""
    chosen = list(workspaces)
    rows = BuildOptions.objects.filter(repository__in={workspace.repository_id for workspace in chosen})
    options = {row.repository_id: row for row in rows}
    return {
        workspace.pk: environment_of(workspace, options.get(workspace.repository_id) or BuildOptions())
        for workspace in chosen
    }


def environment_of(workspace: Workspace, options: BuildOptions) -> dict[str, str]:
    environment = {
        "SWARMYARD_SHIMS": str(places.shims()),
        "SWARMYARD_BUILD_REPORTS": str(places.reports()),
    }
    if options.own_directories:
        environment["SWARMYARD_BUILD_DIRS"] = str(places.directories_of(workspace))
        environment["SWARMYARD_BUILD_SCHEME"] = options.scheme
    if options.compiler_cache:
        environment["SWARMYARD_RUSTC_WRAPPER"] = str(wrapper())
    if options.slots:
        environment["SWARMYARD_BUILD_SLOTS"] = str(places.slots())
    return environment
