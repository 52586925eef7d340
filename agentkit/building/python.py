"""pytest and mypy: which calls of them test or check.

They keep their caches in the project's directory by themselves, and pip and uv share theirs among all projects of a
user, as a virtual environment of the workspace has its own place. So nothing is set here; but a cache that a user's own
settings put into one place for all workspaces is told of.
"""

from __future__ import annotations

import os

from agentkit.building.plan import Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# Python's own options that take the next word as their value.
_TAKES_VALUE = ("-X", "-W", "--check-hash-based-pycs")
_MODES = {"pytest": "test", "unittest": "test", "mypy": "check"}
_NOTHING = {
    "pytest": {"--help", "-h", "--version", "-V", "--collect-only", "--co", "--fixtures", "--markers"},
    "mypy": {"--help", "-h", "--version", "-V"},
    "unittest": {"--help", "-h"},
}  # fmt: skip


def planner(tool: str) -> Callable[[list[str], dict[str, str]], Plan]:
    if tool.startswith("python"):
        return lambda argv, environment: plan_for_module(tool, argv, environment)
    return lambda argv, environment: plan_for(tool, tool, argv, environment)


def plan_for_module(tool: str, argv: list[str], environment: dict[str, str]) -> Plan:
    module, rest = module_of(argv)
    return plan_for(tool, module, rest, environment)


def plan_for(tool: str, name: str, rest: list[str], environment: dict[str, str]) -> Plan:
    does_nothing = bool(_NOTHING.get(name, set()) & set(rest))
    plan = Plan(tool, dict(environment), mode="" if does_nothing else _MODES.get(name, ""))
    plan.short = plan.mode == "check"
    for variable, cache in shared_caches(name, environment):
        plan.note(f"{variable} is set, so all workspaces have one cache, {cache}")
    return plan


def module_of(argv: list[str]) -> tuple[str, list[str]]:
    """Of `python -m MODULE …`: its name and what follows; empty for anything else."""
    words = iter(range(len(argv)))
    for index in words:
        word = argv[index]
        if word == "-m":
            return "".join(argv[index + 1 : index + 2]), argv[index + 2 :]
        if word in _TAKES_VALUE:
            next(words, None)
        elif not word.startswith("-") or word in ("-", "-c"):
            break
    return "", []


def shared_caches(name: str, environment: dict[str, str]) -> list[tuple[str, str]]:
    """Variables of the user, and the directories that they name. Relative ones are each workspace's own."""
    found = []
    if name == "mypy":
        found.append(("MYPY_CACHE_DIR", environment.get("MYPY_CACHE_DIR", "")))
    if name == "pytest":
        for word in environment.get("PYTEST_ADDOPTS", "").split():
            option, _, value = word.removeprefix("-o").partition("=")
            if option == "cache_dir":
                found.append(("PYTEST_ADDOPTS", value))
    return [(variable, path) for variable, path in found if os.path.isabs(path) and path != os.devnull]  # noqa: PTH117
