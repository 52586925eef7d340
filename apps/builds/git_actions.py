"""Locks that agents' git was refused, written down as lock waits."""

from collections.abc import Mapping, Sequence

from django.db import transaction

from apps.builds.actions import at
from apps.builds.domain.git_traces import holder_of
from apps.builds.domain.lock_waits import LockKind
from apps.builds.git_traces import Refused
from apps.builds.models import LockWait
from apps.fleet.models import Agent
from apps.lib.text import plain_text

PRIVATE = ".git/worktrees/"  # what lies there is one workspace's alone


@transaction.atomic
def record_git_waits(*, refused: Sequence[Refused]) -> list[LockWait]:
    """Of agents that there are. Who held the lock is looked for among agents of the same repository."""
    commands = [command for each in refused for command in (each.command, *each.others)]
    pks = {command.agent for command in commands if command.agent is not None}
    agents = Agent.objects.filter(pk__in=pks).select_related("workspace__repository", "host")
    found = {agent.pk: agent for agent in agents.defer("prompt", "command")}
    waits = [wait for each in refused if (wait := git_wait_of(each, found)) is not None]
    return LockWait.objects.bulk_create(waits)


def git_wait_of(each: Refused, agents: Mapping[int, Agent]) -> LockWait | None:
    agent, refusal = agents.get(each.command.agent or 0), each.command.refusal
    if agent is None or refusal is None:
        return None
    mates = {pk for pk, other in agents.items() if repository_of(other) == repository_of(agent)}
    if PRIVATE in refusal.path:
        mates = {agent.pk}
    holder = holder_of(each.command, [other for other in each.others if other.agent in mates])
    return LockWait(
        agent=agent,
        kind=LockKind.GIT,
        path=plain_text(refusal.path, 4096),
        holder_agent=agents.get(holder.agent or 0) if holder else None,
        holder_pid=holder.pid if holder else 0,
        began_at=at(refusal.at - refusal.ms / 1000),
        ms=refusal.ms,
    )


def repository_of(agent: Agent) -> int | None:
    workspace = getattr(agent, "workspace", None)
    return workspace.repository_id if workspace else None
