"""Making the workspaces of agents, several side by side."""

from collections.abc import Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from apps.fleet.actions import prepare
from apps.fleet.models import State
from apps.waves.models import Member
from apps.workspaces.actions import finish_workspace
from apps.workspaces.checkouts import create_workspace
from apps.workspaces.models import Workspace

SIDE_BY_SIDE = 4
RENEW_SECONDS = 5.0
LEASE_SECONDS = 20.0  # a job that died is noticed after this


def prepare_members(attempts: Mapping[int, int]) -> None:
    """Workspaces for members, by primary key and number of the attempt: one that was given out again since is left
    alone. git runs in threads, rows are written by this one."""
    members = [
        member
        for member in Member.objects.filter(pk__in=attempts, agent__state=State.PREPARING)
        if member.prepare_attempts == attempts[member.pk]
    ]
    workspaces = Workspace.objects.filter(agent__member__in=members).select_related("repository", "agent")
    with ThreadPoolExecutor(max_workers=SIDE_BY_SIDE) as pool:
        running = {pool.submit(create_workspace, workspace): workspace for workspace in workspaces}
        waiting: set[Future[str]] = set(running)
        while waiting:
            renew(running[future] for future in waiting)
            done, waiting = wait(waiting, timeout=RENEW_SECONDS, return_when=FIRST_COMPLETED)
            with transaction.atomic():
                for future in done:
                    finish(running[future], future.result())


def renew(workspaces: Iterable[Workspace]) -> None:
    until = timezone.now() + timedelta(seconds=LEASE_SECONDS)
    agents = [workspace.agent_id for workspace in workspaces]
    Member.objects.filter(agent__in=agents, agent__state=State.PREPARING).update(prepare_by=until)


def finish(workspace: Workspace, problem: str) -> None:
    now = timezone.now()
    finish_workspace(workspace=workspace, problem=problem, now=now)
    agent = workspace.agent
    if agent is None:
        return
    if problem:
        prepare.fail_preparation(agent=agent, problem=problem, now=now)
    else:
        prepare.mark_ready(
            agent_pk=agent.pk, workspace_path=workspace.path, git_directory=workspace.git_directory
        )
