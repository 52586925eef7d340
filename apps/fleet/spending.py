"""What agents used up, as it is known now: one figure for each, whoever told it (`domain/spending.py`)."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from django.db.models import OuterRef, Q, QuerySet, Subquery

from apps.fleet.domain.spending import NOTHING_TOLD, Spending, one_truth, together
from apps.fleet.models import Agent
from apps.telemetry.queries import (
    Spent,
    spenders,
    spent_by_agents,
    spent_by_labels_and_models,
    spent_by_models,
)

COUNTS = ("tokens_in", "tokens_out", "cache_read", "cache_creation")
NEGLIGIBLE = 1e-4  # of a whole; less is an error of adding up


@dataclass(frozen=True, slots=True)
class Ledger:
    """By agent's number, and by wave. Only who told of anything is in it."""

    agents: dict[int, Spending]
    waves: dict[str, Spending]

    def of(self, agent: int) -> Spending:
        return self.agents.get(agent, NOTHING_TOLD)

    def of_wave(self, label: str) -> Spending:
        return self.waves.get(label, NOTHING_TOLD)

    @property
    def whole(self) -> Spending:
        return together(self.waves.values())


@dataclass(frozen=True, slots=True)
class Told:
    """What one agent told of, in both ways."""

    agent: int
    wave: str
    role: str
    measured: Spending
    printed: Spending

    @property
    def spending(self) -> Spending:
        return one_truth(self.measured, self.printed)


def ledger_of(agents: QuerySet[Agent]) -> Ledger:
    """Two queries, whatever their number."""
    found: dict[int, Spending] = {}
    by_wave: dict[str, list[Spending]] = {}
    for told in told_by(agents):
        found[told.agent] = told.spending
        by_wave.setdefault(told.wave, []).append(found[told.agent])
    return Ledger(found, {wave: together(each) for wave, each in by_wave.items()})


def told_by(agents: QuerySet[Agent]) -> Iterator[Told]:
    """Of those that told of anything. Two queries, whatever their number."""
    chosen = agents.order_by()
    measured = spent_by_agents(chosen.values("pk"))
    told = Q(pk__in=spenders()) | Q(cost_usd__isnull=False)
    for count in COUNTS:
        told |= Q(**{f"{count}__gt": 0})
    for pk, wave, role, *printed in chosen.filter(told).values_list(
        "pk", "group", "role", *COUNTS, "cost_usd"
    ):
        yield Told(pk, wave, role, as_measured(measured.get(pk)), as_printed(*printed))


def spending_of(agent: Agent) -> Spending:
    """Of one agent."""
    printed = as_printed(*(getattr(agent, count) for count in COUNTS), agent.cost_usd)
    return one_truth(as_measured(spent_by_agents([agent.pk]).get(agent.pk)), printed)


def by_model(whole: Spending, agents: QuerySet[Agent] | None = None) -> dict[str, Spending]:
    """What each model used for these agents, or for all; those that cost most first. Under "": what of `whole` nobody
    named a model for, as what agents print names none."""
    chosen = None if agents is None else agents.order_by().values("pk")
    models = {name: as_measured(spent) for name, spent in spent_by_models(chosen).items()}
    ranked = sorted(
        models, key=lambda name: (-(models[name].cost_usd or 0.0), -(models[name].tokens or 0), name)
    )
    rest = less(whole, together(models.values()))
    found = {name: models[name] for name in ranked}
    return found | {"": rest} if rest.is_known else found


def by_wave_and_model(waves: Collection[str]) -> dict[str, dict[str, Spending]]:
    """What each model used in each of these waves, where its agents name their models; those first heard of first.
    One query."""
    agents = Agent.objects.order_by()
    wave = Subquery(agents.filter(pk=OuterRef("agent")).values("group"))
    spent = spent_by_labels_and_models(agents.filter(group__in=waves).values("pk"), wave)
    found: dict[str, dict[str, Spending]] = {}
    for (label, model), amounts in spent.items():
        found.setdefault(label, {})[model] = as_measured(amounts)
    return found


def less(whole: Spending, part: Spending) -> Spending:
    """What is left of it; None where nothing is."""
    left = (_left(count, gone) for count, gone in zip(whole.counts, part.counts, strict=True))
    cost = _left(whole.cost_usd, part.cost_usd)
    return Spending.of((None if count is None else round(count) for count in left), cost)


def _left(whole: float | None, part: float | None) -> float | None:
    left = (whole or 0) - (part or 0)
    return left if left > (whole or 0) * NEGLIGIBLE else None


def as_measured(spent: Spent | None) -> Spending:
    if spent is None:
        return NOTHING_TOLD
    counts = (spent.input, spent.output, spent.cache_read, spent.cache_write)
    # A part that is taken off another one may come before it.
    return Spending.of((None if count is None else max(0, round(count)) for count in counts), spent.cost_usd)


def as_printed(*printed: float | None) -> Spending:
    """A row has zeros for an agent that printed nothing of its tokens."""
    *counts, cost = printed
    if not any(counts):
        return Spending(cost_usd=cost)
    return Spending.of((None if count is None else int(count) for count in counts), cost)
