"""Which agents a list shows: the filter in the address, and the order."""

from dataclasses import dataclass

from django.db.models import Case, F, Q, QuerySet, Value, When

from apps.console.regions import View
from apps.fleet.models import LIVE, UNSTARTED, Agent, State
from apps.fleet.spending import Ledger
from apps.telemetry.snapshot import AgentFigures, Snapshot

GROUPS: dict[str, tuple[str, ...]] = {
    "busy": (State.BUSY,),
    "idle": (State.IDLE,),
    "waiting": (State.WAITING,),
    "paused": (State.PAUSED, State.STOPPING),
    "starting": (*UNSTARTED, State.STARTING),
    "failed": (State.FAILED, State.LOST),
    "ended": (State.EXITED,),
}

SORTS = {
    "active": "Active first",
    "newest": "Newest first",
    "throughput": "Throughput",
    "p95": "Latency p95",
    "wait": "Lock wait",
    "memory": "Memory",
    "errors": "Errors",
    "cost": "Cost",
}
FIGURE_SORTS = ("throughput", "p95", "wait", "memory", "errors")


@dataclass(frozen=True, slots=True)
class Chip:
    """One state to filter by, with its number of agents."""

    key: str
    word: str
    count: int
    current: bool


def matching(view: View) -> Q:
    """The agents that the view's state, wave and text ask for."""
    found = Q()
    if view.get("state") in GROUPS:
        found &= Q(state__in=GROUPS[view.get("state")])
    if view.get("wave"):
        found &= Q(group=view.get("wave"))
    if view.get("q"):
        text = view.get("q")
        found &= (
            Q(name__icontains=text)
            | Q(activity__icontains=text)
            | Q(role__icontains=text)
            | Q(reason__icontains=text)
        )
    return found


def is_filtered(view: View) -> bool:
    return bool(view.get("state") in GROUPS or view.get("wave") or view.get("q"))


def chips(counts: dict[str, int], view: View) -> list[Chip]:
    current = view.get("state") if view.get("state") in GROUPS else "all"
    found = [Chip("all", "all", sum(counts.values()), current == "all")]
    for key, states in GROUPS.items():
        number = sum(counts.get(state, 0) for state in states)
        if number or key in ("busy", "failed", current):
            found.append(Chip(key, key, number, key == current))
    return found


def in_order(agents: QuerySet[Agent], sort: str) -> QuerySet[Agent]:
    """Those that live first, then those that will, then the ended ones; of each the newest wave first."""
    if sort == "newest":
        return agents.order_by("-pk")
    rank = Case(
        When(state__in=LIVE, then=Value(0)), When(state__in=UNSTARTED, then=Value(1)), default=Value(2)
    )
    return agents.order_by(rank, F("member__wave").desc(nulls_last=True), "pk")


def figure_of(sort: str, figures: AgentFigures) -> float:
    values = {
        "throughput": figures.throughput,
        "p95": figures.p95,
        "wait": figures.wait_pct,
        "memory": figures.memory,
        "errors": figures.errors,
    }
    return values[sort] or 0.0


def by_cost(ledger: Ledger, pks: set[int]) -> list[int]:
    """Who cost most first; those who told of no cost last, newest first."""
    return sorted(pks, key=lambda pk: (-(ledger.of(pk).cost_usd or 0.0), -pk))


def by_figure(sort: str, snapshot: Snapshot | None, pks: set[int]) -> list[int]:
    """`pks` with the highest figure first; those without one last, newest first."""
    known = snapshot.agents if snapshot else {}

    def order(pk: int) -> tuple[float, int]:
        return (-figure_of(sort, known[pk]) if pk in known else 0.0, -pk)

    return sorted(pks, key=order)
