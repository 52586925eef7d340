"""Making the workspaces of agents, several side by side."""

import logging
import os
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path

from django.db import connection, transaction
from django.utils import timezone

from apps.builds.preparing import environments_for
from apps.builds.warming import Start, Warmth, record_starts
from apps.fleet.actions import prepare
from apps.fleet.models import State
from apps.waves.models import Member
from apps.workspaces.actions import finish_workspaces
from apps.workspaces.checkouts import create_workspace
from apps.workspaces.copies import Checkouts
from apps.workspaces.models import Workspace

log = logging.getLogger(__name__)

SIDE_BY_SIDE = 4
NICE = (
    5  # of the threads and their git: a step that has its workspaces is started before the next ones are made
)
# That a preparation may wait for a worker while none works; a job that runs renews that too.
QUEUE_SECONDS = 120
RENEW_SECONDS = 5.0
GATHER_SECONDS = 0.03  # after one is done, for more: they are written down together
LEASE_SECONDS = 20.0  # a job that died is noticed after this


@dataclass(frozen=True, slots=True)
class Made:
    """`problem`: "" or what kept the workspace from being made."""

    problem: str
    start: Start = field(default_factory=Start)


def prepare_members(attempts: Mapping[int, int]) -> None:
    """Workspaces for members, by primary key and number of the attempt: one that was given out again since is left
    alone. git runs in threads, rows are written by this one."""
    rows = Member.objects.filter(pk__in=attempts, agent__state=State.PREPARING)
    ours = {row.agent_id: row.prepare_attempts for row in rows if row.prepare_attempts == attempts[row.pk]}
    workspaces = Workspace.objects.filter(agent__in=ours).select_related("repository", "agent")
    chosen = list(workspaces.defer("agent__prompt", "agent__command"))
    alike = checkouts_of(chosen)
    warmth = Warmth(chosen)
    with ThreadPoolExecutor(SIDE_BY_SIDE, initializer=os.nice, initargs=(NICE,)) as pool:
        running = {
            pool.submit(
                make,
                workspace,
                alike.get(source_of(workspace)),
                partial(is_ours, workspace, ours),
                warmth,
            ): workspace
            for workspace in chosen
        }
        try:
            gather(running, ours)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # nobody would renew their leases
            raise


def make(
    workspace: Workspace, checkouts: Checkouts | None, is_ours: Callable[[], bool], warmth: Warmth
) -> Made:
    """The workspace, and with it what its agent's builds begin with, which nobody has to go without a workspace for."""
    if problem := create_workspace(workspace, checkouts, is_ours):
        return Made(problem)
    try:
        return Made("", warmth.start_of(workspace, is_ours))
    except Exception:
        log.exception("an agent starts cold")
        return Made("")


def gather(running: Mapping[Future[Made], Workspace], attempts: Mapping[int, int]) -> None:
    """Write down what is done, until all is."""
    waiting: set[Future[Made]] = set(running)
    renewed = -RENEW_SECONDS
    while waiting:
        if time.monotonic() - renewed >= RENEW_SECONDS:
            renew([running[future] for future in waiting])
            renewed = time.monotonic()
        first, _ = wait(waiting, timeout=RENEW_SECONDS, return_when=FIRST_COMPLETED)
        if first:
            done, waiting = wait(waiting, timeout=GATHER_SECONDS)
            finish({running[future]: made_by(future) for future in done}, attempts)


def is_ours(workspace: Workspace, attempts: Mapping[int, int]) -> bool:
    """Called in a thread, so the connection is its own: closed again, as the thread may end."""
    try:
        rows = Member.objects.filter(agent=workspace.agent_id, agent__state=State.PREPARING)
        return rows.values_list("prepare_attempts", flat=True).first() == attempts.get(
            workspace.agent_id or 0
        )
    finally:
        connection.close()


def source_of(workspace: Workspace) -> tuple[int, str]:
    return workspace.repository_id, workspace.base_commit


def checkouts_of(workspaces: Sequence[Workspace]) -> dict[tuple[int, str], Checkouts]:
    """For each repository and commit that more than one of them wants."""
    wanted: dict[tuple[int, str], list[Workspace]] = defaultdict(list)
    for workspace in workspaces:
        wanted[source_of(workspace)].append(workspace)
    return {
        source: Checkouts(Path(alike[0].repository.path), source[1], [each.branch for each in alike])
        for source, alike in wanted.items()
        if len(alike) > 1
    }


def made_by(future: Future[Made]) -> Made:
    """What nobody foresaw is a problem of that workspace alone, not of the others in this job."""
    try:
        return future.result()
    except Exception as error:
        log.exception("a workspace could not be made")
        return Made(f"{type(error).__name__}: {error}")


def renew(workspaces: Sequence[Workspace]) -> None:
    """For those under way; and for those that wait behind them in this host's queue, which so is seen to move."""
    now = timezone.now()
    agents = [workspace.agent_id for workspace in workspaces]
    leased, queued = now + timedelta(seconds=LEASE_SECONDS), now + timedelta(seconds=QUEUE_SECONDS)
    preparing = Member.objects.filter(agent__state=State.PREPARING)
    preparing.filter(agent__in=agents).update(prepare_by=leased)
    hosts = {workspace.agent.host_id for workspace in workspaces if workspace.agent}
    preparing.filter(agent__host__in=hosts, prepare_by__gt=leased).update(prepare_by=queued)


@transaction.atomic
def finish(made: Mapping[Workspace, Made], attempts: Mapping[int, int]) -> None:
    """`attempts`: number of the attempt by the agent's primary key. Those that were given out again since are not
    ours any more."""
    now = timezone.now()
    agents = [workspace.agent_id for workspace in made]
    rows = Member.objects.filter(agent__in=agents).values_list("agent_id", "prepare_attempts")
    current = {pk for pk, attempt in rows if attempts[pk] == attempt}
    ours = {workspace: each for workspace, each in made.items() if workspace.agent_id in current}
    finish_workspaces(problems={workspace: each.problem for workspace, each in ours.items()}, now=now)
    for workspace, each in ours.items():
        if each.problem and workspace.agent:
            prepare.fail_preparation(agent=workspace.agent, problem=each.problem, now=now)
    starts = {workspace: each.start for workspace, each in ours.items() if not each.problem}
    record_starts(starts, now)
    mark_ready(starts)


def mark_ready(starts: Mapping[Workspace, Start]) -> None:
    shown = {workspace.pk for workspace, start in starts.items() if start.view}
    environments = environments_for(starts, shown)
    prepare.mark_ready(
        [
            prepare.Prepared(
                workspace.agent_id,
                workspace.path,
                workspace.git_directory,
                environments[workspace.pk],
                start.view,
            )
            for workspace, start in starts.items()
            if workspace.agent_id
        ]
    )
