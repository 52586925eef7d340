"""Questions about what was recorded, for the apps above."""

from collections.abc import Collection
from dataclasses import dataclass

from django.db.models import Q

from apps.telemetry.domain.measures import COST, TOKENS
from apps.telemetry.ingest import STREAM
from apps.telemetry.models import AgentMeasureTotal, AgentTotal, Checkpoint, GroupTotal


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
    """Tokens and cost that an agent ever measured. None: it told of none, which isn't zero."""

    tokens_in: float | None
    tokens_out: float | None
    cost_usd: float | None


def spent(agent: int) -> Spent:
    """As exact as `recorded`. Input is all of it, with what a cache had or was given."""
    rows = AgentMeasureTotal.objects.filter(agent=agent)
    found = dict(rows.filter(Q(name=COST) | Q(name__startswith=TOKENS)).values_list("name", "amount"))
    output = found.pop(f"{TOKENS}output", None)
    cost = found.pop(COST, None)
    return Spent(sum(found.values()) if found else None, output, cost)
