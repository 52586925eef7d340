"""What one pass of rendering reads: each thing at most once, however many regions ask for it."""

import logging
from collections import Counter
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TypeVar

import msgspec
from django.db.models import Count, Q, QuerySet

from apps.alerts.models import Alert
from apps.alerts.queries import for_a_person, last_evaluation
from apps.builds.models import Build, BuildState, HostSlots
from apps.capacity.domain.admission import MB, Request, admit
from apps.capacity.limits import configured_limits
from apps.fleet.domain.spending import Spending
from apps.fleet.models import LIVE, Agent, Host
from apps.fleet.readings import answers, promised_to, reading_of
from apps.fleet.spending import Ledger, ledger_of, spending_of
from apps.lib.redis import RedisUnavailable
from apps.telemetry import agent_charts
from apps.telemetry import snapshot as snapshots
from apps.telemetry.agent_charts import AgentCharts
from apps.telemetry.domain.service_levels import Targets
from apps.telemetry.service_levels import configured_targets
from apps.telemetry.snapshot import Snapshot
from apps.waves.domain.progress import Progress
from apps.waves.models import Wave
from apps.waves.queries import progress_of_all

log = logging.getLogger(__name__)

Figures = TypeVar("Figures", Snapshot, AgentCharts)

LONG_TEXTS = ("prompt", "command")  # of waves and agents: lists show none of them
READ_SECONDS = 1.0  # that Redis may take: every viewer waits for it
TYPICAL_BUDGET = 400 * MB  # what "one more agent" means where no preset is chosen yet


class Moment:
    def __init__(self, now: datetime) -> None:
        self.now = now
        self._snapshots: dict[int, Snapshot | None] = {}
        self._redis_is_away = False
        self._agents: dict[int, Agent | None] = {}
        self._spending: dict[int, Spending] = {}

    def with_new_figures(self, now: datetime) -> "Moment":
        """The rows that were read so far, and figures to be read anew."""
        later = copy(self)
        later.now, later._snapshots, later._redis_is_away = now, {}, False
        return later

    def snapshot(self, window: int) -> Snapshot | None:
        """The latest figures of that window in seconds; None when there are none (yet), or Redis is away."""
        if window not in self._snapshots:
            self._snapshots[window] = self._figures(lambda: snapshots.read(window, READ_SECONDS))
        return self._snapshots[window]

    def agent_charts(self, pk: int, window: int) -> AgentCharts | None:
        """The lines of one agent; None when there are none (yet), or Redis is away."""
        return self._figures(lambda: agent_charts.read(pk, window, READ_SECONDS))

    def agent(self, pk: int) -> Agent | None:
        """With its host; None where there is no such agent."""
        if pk not in self._agents:
            self._agents[pk] = Agent.objects.select_related("host").defer("prompt").filter(pk=pk).first()
        return self._agents[pk]

    def spending(self, agent: Agent) -> Spending:
        """What this agent used up so far."""
        if agent.pk not in self._spending:
            self._spending[agent.pk] = spending_of(agent)
        return self._spending[agent.pk]

    def _figures(self, read: Callable[[], Figures | None]) -> Figures | None:
        """None once Redis was away: all that are left to read would wait as long again."""
        if self._redis_is_away:
            return None
        try:
            return read()
        except RedisUnavailable as error:
            self._redis_is_away = True
            log.debug("no figures: %s", error)
        except msgspec.MsgspecError as error:
            log.debug("figures of another version: %s", error)
        return None

    @cached_property
    def targets(self) -> tuple[Targets, str]:
        """Of the service levels, and what is wrong with the operator's own."""
        return configured_targets()

    @property
    def p95_target(self) -> float | None:
        """In milliseconds; None where an operator wants none."""
        return self.targets[0]["p95_ms"]

    @cached_property
    def open_waves(self) -> list[Wave]:
        return list(Wave.objects.open().defer(*LONG_TEXTS).select_related("repository").order_by("id"))

    @cached_property
    def hosts(self) -> list[Host]:
        return list(Host.objects.order_by("name"))

    @cached_property
    def answering_hosts(self) -> list[int]:
        """Numbers of those whose word is of now."""
        return [host.pk for host in self.hosts if answers(host, self.now)]

    @cached_property
    def builds_under_way(self) -> int:
        return Build.objects.filter(state=BuildState.RUNNING).count()

    @cached_property
    def build_slots(self) -> dict[int, int]:
        """How many builds each host lets run at once, by its number; of those that have said."""
        return dict(HostSlots.objects.values_list("host_id", "slots"))

    @cached_property
    def alerts(self) -> list[Alert]:
        """Those that ask for a person: nobody has acknowledged or silenced them. The worst first."""
        return for_a_person(self.now)

    @cached_property
    def evaluated_at(self) -> datetime | None:
        return last_evaluation()

    @cached_property
    def state_counts(self) -> dict[str, Counter[str]]:
        """Number of agents by wave label and state, in open waves and of live agents anywhere."""
        labels = [wave.label for wave in self.open_waves]
        return count_states(Agent.objects.filter(Q(group__in=labels) | Q(state__in=LIVE)))

    @cached_property
    def ledger(self) -> Ledger:
        """What the agents of open waves used up."""
        return ledger_of(Agent.objects.filter(group__in=[wave.label for wave in self.open_waves]))

    @cached_property
    def progress(self) -> dict[int, Progress]:
        return progress_of_all(self.open_waves, self.now)

    @cached_property
    def admission(self) -> "Admission":
        return admission_of([host for host in self.hosts if not host.draining], self.now)

    @cached_property
    def totals(self) -> Counter[str]:
        """Number of agents by state, over all that `state_counts` counts."""
        return sum(self.state_counts.values(), Counter())

    def counts_of(self, labels: set[str]) -> Counter[str]:
        """Number of agents by state in the waves with these labels."""
        return sum((self.state_counts.get(label, Counter()) for label in labels), Counter())


@dataclass(frozen=True, slots=True)
class Admission:
    """Memory in bytes that agents use and may use in all (None: no host says), and whether one more is let in."""

    used: int
    limit: int | None
    is_open: bool
    waiting_for: str = ""


def admission_of(hosts: list[Host], now: datetime) -> Admission:
    used, limit, is_open, waiting_for = 0, 0, False, ""
    limits = configured_limits()
    readings = [(host, reading_of(host, now)) for host in hosts]
    for host, reading in readings:
        running = promised_to(host)
        here = sum(agent.used for agent in running)
        used += here
        if reading is not None:
            limit += max(0, reading.memory_available + here - limits.memory_reserve)
            answer = admit(reading, running, [Request(memory=TYPICAL_BUDGET)], limits)
            is_open = is_open or answer.count > 0
            waiting_for = waiting_for or answer.waiting_for
    known = any(reading for _, reading in readings)
    return Admission(used, limit if known else None, is_open, "" if is_open else waiting_for)


def count_states(agents: QuerySet[Agent]) -> dict[str, Counter[str]]:
    """Number of agents by wave label and state."""
    counts: dict[str, Counter[str]] = {}
    for group, state, count in agents.order_by().values_list("group", "state").annotate(Count("id")):
        counts.setdefault(group, Counter())[state] = count
    return counts
