"""npm and tsc: which calls of them test, check or build.

npm's cache is one for all projects of a user, and tools below it keep theirs in node_modules: nothing is set here. What
a package's script starts is part of that build.
"""

from __future__ import annotations

from agentkit.building.plan import Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_TAKES_VALUE = {"--prefix", "-C", "--workspace", "-w", "--loglevel", "--cache", "--userconfig"}
_RUN = {"run", "run-script", "rum", "urn"}
_TEST = {"test", "t", "tst"}
_SCRIPTS = {
    "test": "test", "tests": "test",
    "build": "dev", "compile": "dev",
    "check": "check", "lint": "check", "typecheck": "check", "type-check": "check", "types": "check", "tsc": "check",
}  # fmt: skip
_WATCHES = {"--watch", "--watchAll", "--watch-all", "--ui"}  # until somebody ends it
_TSC_NOTHING = {"--watch", "-w", "--help", "-h", "--all", "--version", "-v", "--init", "--showConfig"}


def planner(tool: str) -> Callable[[list[str], dict[str, str]], Plan]:
    mode_of = mode_of_npm if tool == "npm" else mode_of_tsc

    def plan_for(argv: list[str], environment: dict[str, str]) -> Plan:
        plan = Plan(tool, dict(environment), mode=mode_of(argv))
        plan.short = plan.mode == "check"
        return plan

    return plan_for


def mode_of_npm(argv: list[str]) -> str:
    words = words_of(argv)
    if not words or _WATCHES & set(argv) or {"--help", "-h", "-?"} & set(argv):
        return ""
    if words[0] in _TEST:
        return "test"
    if words[0] in _RUN and len(words) > 1:
        return _SCRIPTS.get(words[1].partition(":")[0], "")
    return ""


def words_of(argv: list[str]) -> list[str]:
    """Without options and their values, up to a `--`."""
    found = []
    rest = iter(argv[: argv.index("--")] if "--" in argv else argv)
    for word in rest:
        if word in _TAKES_VALUE:
            next(rest, None)
        elif not word.startswith("-"):
            found.append(word)
    return found


def mode_of_tsc(argv: list[str]) -> str:
    if _TSC_NOTHING & set(argv):
        return ""
    return "check" if "--noEmit" in argv else "dev"
