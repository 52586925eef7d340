"""Starting ended agents again when their time has come and their host has room for them."""

import re
from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from apps.events.actions import Fact, record_all
from apps.events.domain.actor import YARD
from apps.fleet.models import ENDED, Agent, AgentQuerySet, Desired, Host, State
from apps.fleet.readings import admission, to_start

WAITS = "waits for "  # how the reason of an agent begins that is kept from starting again
FIGURES = re.compile(r"[\d\u202f]+")


def revive_due(*, host: Host, now: datetime) -> int:
    """Make ended agents whose time has come ready and wanted, as far as admission lets them in, in the order in which
    they became due; the others say what they wait for. One that is paused waits to be resumed."""
    if not due_on(host, now).exists():
        return 0
    # Looked at before the lock is taken: what waits for memory is looked at several times a second.
    host = Host.objects.get(pk=host.pk)
    due = list(due_on(host, now))
    answer = admission(host, to_start(due), now)
    revived = revive_admitted(host, now) if answer.count else 0
    say_waiting(due[answer.count :], answer.waiting_for)
    return revived


def due_on(host: Host, now: datetime) -> AgentQuerySet:
    rows = Agent.objects.filter(host=host, state__in=ENDED, restart_at__lte=now)
    return rows.exclude(desired=Desired.PAUSED).defer("prompt", "command").order_by("restart_at", "pk")


@transaction.atomic
def revive_admitted(host: Host, now: datetime) -> int:
    # The lock keeps a wave, which takes it too, from being promised the same memory.
    host = Host.objects.select_for_update(no_key=True).get(pk=host.pk)
    due = list(due_on(host, now))
    answer = admission(host, to_start(due), now)
    revived = [agent for agent in due[: answer.count] if revive(agent)]
    record_all(
        Fact("agent.revived", YARD, f"{agent.name} starts again", "agent", agent.pk, agent.name)
        for agent in revived
    )
    return len(revived)


def revive(agent: Agent) -> bool:
    rows = Agent.objects.filter(pk=agent.pk, epoch=agent.epoch, state__in=ENDED)
    rows = rows.exclude(restart_at=None).exclude(desired=Desired.PAUSED)
    return (
        rows.update(
            state=State.READY,
            desired=Desired.RUNNING,
            restart_at=None,
            stop_requested_at=None,
            ended_at=None,
            reason="",
        )
        == 1
    )


def say_waiting(agents: Sequence[Agent], waiting_for: str) -> None:
    """Figures change with every look: they alone are no reason to write."""
    reason = f"{WAITS}{waiting_for}"[:300]
    news = [agent for agent in agents if FIGURES.sub("", agent.reason) != FIGURES.sub("", reason)]
    if waiting_for and news:
        waiting = Agent.objects.returning().filter(pk__in=[agent.pk for agent in news])
        waiting.update(reason=reason)


def forget_waiting(agents: AgentQuerySet) -> None:
    """Of agents that are not to start again any more."""
    agents.filter(reason__startswith=WAITS).update(reason="ended, and not started again: stopped on request")
