"""A build tool on somebody's own shell, outside of any wave: `AGENT_ID=a1 yard cargo check`.

Whoever calls himself by a name of his own has build directories of his own, one for each checkout, below the home of
the yard, waits for the same slots as agents, and shows among the builds. No process of the control plane is needed.
"""

from __future__ import annotations

import os
import zlib

from agentkit.building.keys import checkout_of, place_of
from agentkit.building.shim import REPORTS, SLOTS, complain, main
from agentkit.building.tools import planner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agentkit.building.plan import Plan

WHO = "AGENT_ID"
LONGEST = 64
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


class NoName(Exception):
    """For people: says what is missing."""


def run(tool: str, argv: list[str]) -> int:
    """In an agent this is what its shim does. Raises NoName outside of one when nobody is named."""
    who = ""
    if not os.environ.get("SWARMYARD_RUN"):
        who = named(os.environ.get(WHO, ""))
        take_place(who, argv)

    def plan_for(argv: list[str], environment: dict[str, str]) -> Plan:
        plan = planner(tool)(argv, environment)
        if who and plan.parts:
            plan.note(f"{who} builds in {plan.directory}")
            mark_used(plan.directory)
        return plan

    return main(tool, argv, plan_for)


def mark_used(directory: str) -> None:
    """`builds clean` goes by it. A build that has nothing to do would leave no trace."""
    try:
        os.utime(directory)
    except OSError:
        pass  # cargo makes it, or says why it can't


def named(who: str) -> str:
    if not who or who.startswith(".") or len(who) > LONGEST or not _LETTERS.issuperset(who):
        raise NoName(f"{WHO} must say who builds, in letters, digits and . _ - : {WHO}=a1 yard cargo check")
    return who


def take_place(who: str, argv: list[str]) -> None:
    """Sets what agents are given by the control plane, but for what the user has set himself."""
    builds = os.path.join(home(), "builds")  # noqa: PTH118
    places = {
        SLOTS: os.path.join(builds, "slots"),  # noqa: PTH118
        REPORTS: os.path.join(builds, "reports"),  # noqa: PTH118
        "SWARMYARD_BUILD_DIRS": os.path.join(builds, "by-hand", who, checkout_name(argv)),  # noqa: PTH118
    }
    os.environ["SWARMYARD_AGENT"] = who
    for variable, place in places.items():
        if variable in os.environ:
            continue
        try:
            os.makedirs(place, mode=0o700, exist_ok=True)  # noqa: PTH103
        except OSError as error:
            complain(f"nothing can be kept in {place} ({error.strerror}), so this builds without it")
        else:
            os.environ[variable] = place


def home() -> str:
    project = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120
    return os.path.abspath(os.environ.get("SWARMYARD_HOME") or os.path.join(project, "var"))  # noqa: PTH100, PTH118


def checkout_name(argv: list[str]) -> str:
    checkout = checkout_of(place_of(argv, os.getcwd()))  # noqa: PTH109
    slug = "".join(letter for letter in os.path.basename(checkout) if letter in _LETTERS)[:40].strip(".")  # noqa: PTH119
    return f"{slug or 'checkout'}-{zlib.crc32(os.fsencode(checkout)):08x}"
