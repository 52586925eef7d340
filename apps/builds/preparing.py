"""What an agent is given for its builds, and for its git, when its workspace is made."""

import os
from collections.abc import Collection, Iterable
from pathlib import Path

from apps.builds import git_traces, places, rustc_wrapper
from apps.builds.models import BuildOptions
from apps.builds.sccache import LONGEST_SOCKET
from apps.builds.views import built_at
from apps.workspaces.models import Workspace


def environments_for(
    workspaces: Iterable[Workspace], shown: Collection[int] = ()
) -> dict[int, dict[str, str]]:
    """By the workspace's primary key: variables by which the shims know what to do (docs/reference/builds.md). `shown`:
    those whose agents see them at the path that their repository has for that."""
    chosen = list(workspaces)
    options = options_of({workspace.repository_id for workspace in chosen})
    return {
        workspace.pk: environment_of(
            built_at(workspace.repository_id) if workspace.pk in shown else places.directories_of(workspace),
            options[workspace.repository_id],
        )
        | git_traces.environment_of(workspace.agent_id)
        | (own_server(workspace) if workspace.pk in shown else {})
        for workspace in chosen
    }


def own_server(workspace: Workspace) -> dict[str, str]:
    """For an sccache that the agent calls by itself: a server that it shared with others would see what one of them
    sees at the path that they have in common."""
    at = places.directories_of(workspace) / "sccache"
    return {"SCCACHE_SERVER_UDS": str(at)} if len(os.fsencode(at)) <= LONGEST_SOCKET else {}


def options_of(repositories: Collection[int]) -> dict[int, BuildOptions]:
    """By the repository's primary key; the defaults where there is no row."""
    rows = {row.repository_id: row for row in BuildOptions.objects.filter(repository__in=repositories)}
    return {pk: rows.get(pk) or BuildOptions() for pk in repositories}


def environment_of(directories: Path, options: BuildOptions) -> dict[str, str]:
    """`directories`: holds, or will hold, a build directory for each key, as whoever builds sees it."""
    environment = {
        "SWARMYARD_SHIMS": str(places.shims()),
        "SWARMYARD_BUILD_REPORTS": str(places.reports()),
    }
    if options.own_directories:
        environment["SWARMYARD_BUILD_DIRS"] = str(directories)
        environment["SWARMYARD_BUILD_SCHEME"] = options.scheme
    if options.compiler_cache:
        environment["SWARMYARD_RUSTC_WRAPPER"] = str(rustc_wrapper.path())
    if options.slots:
        environment["SWARMYARD_SLOTS"] = str(places.slots())
    if options.jobserver:
        environment["SWARMYARD_BUILD_JOBSERVER"] = str(places.jobserver())
    return environment
