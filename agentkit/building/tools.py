"""The tools that have a shim, by name."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from agentkit.building.plan import Plan

PYTHON = ("pytest", "mypy", "python", "python3")
NODE = ("npm", "tsc")
TOOLS = ("cargo", *PYTHON, *NODE)


def planner(tool: str) -> Callable[[list[str], dict[str, str]], Plan]:
    """Imports what this tool needs alone: each call of a tool pays for it."""
    if tool in PYTHON:
        from agentkit.building.python import planner as python_planner

        return python_planner(tool)
    if tool in NODE:
        from agentkit.building.node import planner as node_planner

        return node_planner(tool)
    from agentkit.building.cargo import plan_for

    return plan_for
