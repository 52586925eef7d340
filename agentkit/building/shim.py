"""What stands in front of a build tool in an agent's PATH: the same command, with a build directory and a slot.

The tool is found further along PATH and started as it was called: same arguments, directory, stdin, outputs, terminal
and process group. What isn't a build is simply executed in our place. A build gets a ticket (slots.py), and a report
of when it waited, ran and how it ended is left as a file for the host process; none of that may keep it from running.

Imports the standard library alone, and little of it: the whole costs a build some 20 ms (bench/shim.py).
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable

    from agentkit.building.plan import Plan
else:
    import _signal as signal  # the same without its enums, which take 4 ms

INSIDE = "SWARMYARD_BUILD"  # set for what a build starts: it has its slot and directory already
SHIMS = "SWARMYARD_SHIMS"
SLOTS = "SWARMYARD_SLOTS"
REPORTS = "SWARMYARD_BUILD_REPORTS"
NOT_FOUND = 127
SHIM = b"/agentkit/shims.py"
LARGEST_SHIM = 8192


def main(tool: str, argv: list[str], plan_for: Callable[[list[str], dict[str, str]], Plan]) -> int:
    """Ends as the tool did; returns only where that is an exit code."""
    environment = dict(os.environ)
    real = find(tool, environment)
    if real is None:
        complain(
            f"there is no {tool} on PATH behind this one, which only passes builds on: install it, or mend PATH"
        )
        return NOT_FOUND
    if environment.get(INSIDE):
        execute(real, argv, environment)
    plan = plan_for(argv, environment)
    for line in plan.notes:
        complain(line)
    if not plan.is_build:
        execute(real, argv, plan.environment)
    from agentkit.building.running import run

    return run(real, argv, plan)


def find(tool: str, environment: dict[str, str]) -> str | None:
    """The first of this name on PATH that is no shim: of ours, or of the yard in which ours was started."""
    ours = {os.path.realpath(path) for path in (environment.get(SHIMS), os.path.dirname(sys.argv[0])) if path}  # noqa: PTH120
    for directory in environment.get("PATH", os.defpath).split(os.pathsep):
        if os.path.realpath(directory or ".") in ours:
            continue
        path = os.path.join(directory or ".", tool)  # noqa: PTH118
        if os.access(path, os.X_OK) and os.path.isfile(path) and not is_shim(path):  # noqa: PTH113
            return path
    return None


def is_shim(path: str) -> bool:
    """As places.make_ready writes them. Two yards' shims that each took the other for the tool would never end."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return SHIM in file.read(LARGEST_SHIM)
    except OSError:
        return False


def execute(real: str, argv: list[str], environment: dict[str, str]) -> None:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and a program would inherit that
    try:
        os.execve(real, [real, *argv], environment)  # noqa: S606
    except OSError as error:
        complain(f"{real} can't be run: {error.strerror}")
        sys.exit(126)


def complain(line: str) -> None:
    print(f"yard: {line}", file=sys.stderr, flush=True)
