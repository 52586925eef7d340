"""Questions about what was recorded, for the apps above."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db.models import Min, QuerySet, Subquery, Sum

from apps.telemetry.domain.measures import COST, TOKENS
from apps.telemetry.ingest import STREAM
from apps.telemetry.models import AgentMeasureTotal, AgentModelTotal, AgentTotal, Checkpoint, GroupTotal

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Totals:
    """What an agent ever reported. Exact for everything acknowledged before `until` (unix seconds by Redis'
    clock); what came later may be missing. `until` is at most 12 seconds ago while the telemetry process
    runs and keeps up, and the moment of its end once that ended cleanly."""

    operations: int
    errors: int
    induced: int
    duration_ms: float
    wait_ms: float
    until: float

    @property
    def ok(self) -> int:
        return self.operations - self.errors - self.induced


def recorded(agent: int) -> Totals:
    """Zeros for an agent that never reported anything."""
    # The checkpoint first: rows written in between hold more than it says, never less.
    mark = Checkpoint.objects.filter(stream=STREAM).first()
    row = AgentTotal.objects.filter(agent=agent).first() or AgentTotal(agent=agent)
    return Totals(
        operations=row.operations,
        errors=row.errors,
        induced=row.induced,
        duration_ms=row.duration_ms,
        wait_ms=row.wait_ms,
        until=mark.until if mark else 0.0,
    )


def totals_of_groups(groups: Collection[str]) -> list[GroupTotal]:
    """Of the groups that ever reported anything, in order."""
    return list(GroupTotal.objects.filter(group__in=groups).order_by("group", "role"))


def totals_of_agents(agents: Collection[int]) -> dict[int, AgentTotal]:
    """Of those that ever reported anything."""
    return {row.agent: row for row in AgentTotal.objects.filter(agent__in=agents)}


def counted_until() -> float | None:
    """All that was acknowledged before then (unix seconds by Redis' clock) is in the totals. None before the telemetry
    process first ran."""
    return Checkpoint.objects.filter(stream=STREAM).values_list("until", flat=True).first() or None


@dataclass(frozen=True, slots=True)
class Spent:
    """Tokens, which don't overlap, and cost as measured. None: nobody told of it, which isn't zero."""

    input: float | None = None
    output: float | None = None
    cache_read: float | None = None
    cache_write: float | None = None
    cost_usd: float | None = None


# By the name of the measure.
SPENT = {
    f"{TOKENS}input": "input",
    f"{TOKENS}output": "output",
    f"{TOKENS}cache_read": "cache_read",
    f"{TOKENS}cache_write": "cache_write",
    COST: "cost_usd",
}


def spent_by_agents(agents: Collection[int] | QuerySet[Any]) -> dict[int, Spent]:
    """What each of these (numbers, or a query for them) ever measured. As exact as `recorded`."""
    rows = AgentMeasureTotal.objects.filter(agent__in=agents, name__in=SPENT)
    return _spent(rows.values_list("agent", "name", "amount"))


def _spent(rows: Iterable[tuple[Key, str, float]]) -> dict[Key, Spent]:
    found: dict[Key, dict[str, float]] = {}
    for key, name, amount in rows:
        found.setdefault(key, {})[SPENT[name]] = amount
    return {key: Spent(**amounts) for key, amounts in found.items()}


def spent_by_labels_and_models(
    agents: Collection[int] | QuerySet[Any], label: Subquery
) -> dict[tuple[str, str], Spent]:
    """What each model used for those of these agents that have the same label, which `label` looks up by a row's
    `agent`. The models first heard of come first."""
    rows = AgentModelTotal.objects.filter(agent__in=agents, name__in=SPENT).annotate(label=label)
    found = rows.values_list("label", "model", "name").annotate(amount=Sum("amount"), first=Min("pk"))
    return _spent(((label, model), name, amount) for label, model, name, amount, _ in found.order_by("first"))


def spenders() -> QuerySet[Any]:
    """The numbers of all agents that measured any of it, as a part of other queries."""
    return AgentMeasureTotal.objects.filter(name__in=SPENT).values("agent")


def spent_by_models(agents: Collection[int] | QuerySet[Any] | None = None) -> dict[str, Spent]:
    """What each model used for these agents, or for all. Only of agents that name their models."""
    rows = (
        AgentModelTotal.objects.all() if agents is None else AgentModelTotal.objects.filter(agent__in=agents)
    )
    return _spent(rows.filter(name__in=SPENT).values_list("model", "name").annotate(Sum("amount")).order_by())
