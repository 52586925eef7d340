"""How a repository is written in a line."""

from apps.console import groups
from apps.console.tiles import Number
from apps.telemetry.domain.figures import GroupFigures
from apps.workspaces.models import RepositoryState

SIGNS = {
    RepositoryState.CLONING: ("◔", "warn"),
    RepositoryState.READY: ("●", "good"),
    RepositoryState.FAILED: ("✕", "bad"),
}


def figures_of(group: GroupFigures | None) -> list[Number]:
    """Of the agents that worked on it in the window."""
    return [
        groups.throughput(group, ""),
        groups.lock_wait(group),
        groups.errors(group),
        groups.coordination(group),
    ]
