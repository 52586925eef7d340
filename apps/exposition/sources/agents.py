"""Live agents one by one, as many as the setting allows: each is a set of series in whatever reads this."""

from datetime import datetime

from django.conf import settings

from apps.exposition import metrics
from apps.exposition.page import Page
from apps.exposition.sources import spending
from apps.fleet.domain.health import Health, health_of
from apps.fleet.models import Agent
from apps.fleet.spending import ledger_of
from apps.telemetry.models import AgentTotal
from apps.telemetry.queries import totals_of_agents
from apps.telemetry.snapshot import Snapshot

FIELDS = ("pk", "name", "group", "role", "epoch", "seen_at", "memory_bytes")


def collect(page: Page, figures: Snapshot | None, now: datetime) -> None:
    live = Agent.objects.live()
    page.put(metrics.OMITTED, max(0, live.count() - settings.METRICS_AGENTS), "live agents")
    # The oldest first: who is shown stays shown.
    agents = list(live.order_by("pk").only(*FIELDS)[: settings.METRICS_AGENTS])
    shown = [agent.pk for agent in agents]
    totals, ledger = totals_of_agents(shown), ledger_of(Agent.objects.filter(pk__in=shown))
    for agent in agents:
        labels = agent.name, agent.group, agent.role
        page.put(metrics.AGENT_STARTS, agent.epoch, *labels)
        used = ledger.of(agent.pk)
        spending.put(page, metrics.AGENT_TOKENS, used.tokens, *labels)
        spending.put(page, metrics.AGENT_COST, used.cost_usd, *labels)
        if is_seen(agent, now):
            page.put(metrics.AGENT_MEMORY, agent.memory_bytes, *labels)
            page.put(metrics.AGENT_CPU, cores(figures, agent.pk), *labels)
        if agent.pk in totals:
            collect_total(page, totals[agent.pk], labels)


def is_seen(agent: Agent, now: datetime) -> bool:
    """Whether its host still looks at it: else its last readings aren't those of now."""
    age = (now - agent.seen_at).total_seconds() if agent.seen_at else None
    return health_of(age) not in (Health.FAILED, Health.UNKNOWN)


def cores(figures: Snapshot | None, pk: int) -> float | None:
    own = figures.agents.get(pk) if figures is not None else None
    return own.cpu if own is not None and own.memory else None  # without memory there was no reading


def collect_total(page: Page, row: AgentTotal, labels: tuple[str, str, str]) -> None:
    page.put(metrics.AGENT_OPERATIONS, row.operations, *labels)
    page.put(metrics.AGENT_ERRORS, row.errors, *labels)
    page.put(metrics.AGENT_SECONDS, row.duration_ms / 1000, *labels)
    page.put(metrics.AGENT_LOCK_WAIT, row.wait_ms / 1000, *labels)
