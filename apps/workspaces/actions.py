import secrets
from collections.abc import Mapping
from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, transaction

from apps.access.roles import require
from apps.capacity import leases
from apps.events.actions import Fact, record
from apps.events.domain.actor import YARD, Actor, Role
from apps.fleet.models import Agent
from apps.lib.questions import Ask, here
from apps.lib.queues import enqueue
from apps.workspaces.domain.naming import branch_of, is_url, name_from, name_is_valid, without_secrets
from apps.workspaces.exceptions import RepositoryRefused
from apps.workspaces.inspection import clean, inspect
from apps.workspaces.models import Repository, RepositoryState, Workspace, WorkspaceState
from apps.workspaces.queries import this_host

ALLOWED_URLS = ("https://", "http://", "ssh://", "git://", "file://")
MAX_URL, MAX_TARGET = 2000, 250
GIVEN_SECONDS = 60.0  # that a clone may wait for a worker before it is queued again


def add_repository(
    *,
    path_or_url: str,
    actor: Actor,
    now: datetime,
    name: str | None = None,
    target: str | None = None,
    ask: Ask = here,
) -> Repository:
    """Register a repository by the path of a checkout or bare repository, or by a URL, which is cloned by a job.

    `ask` does the look at a path; it may raise NoAnswer.
    """
    require(actor, Role.OPERATOR, "add a repository")
    if target and (not target.isprintable() or len(target) > MAX_TARGET):
        raise RepositoryRefused("This can't be a branch's name: give one that exists, with --target BRANCH.")
    if is_url(path_or_url):
        name = valid_name(name or name_from(without_secrets(path_or_url)))
        return add_by_url(url=path_or_url, name=name, target=target or "", actor=actor, now=now)
    path, target = ask(this_host(), inspect, path_or_url, target, refusals=(RepositoryRefused,))
    name = valid_name(name or name_from(path))
    known = Repository.objects.filter(path=path).first()
    if known:
        raise RepositoryRefused(f"{path} is registered already, as “{known.name}”.")
    return save_repository(
        Repository(name=name, path=path, target=target), actor, f"repository {name} added from {path}"
    )


def valid_name(name: str) -> str:
    if not name_is_valid(name):
        raise RepositoryRefused(
            f"“{clean(name)}” can't be a repository's name: use letters, digits, dot, dash, underscore."
        )
    return name


def add_by_url(*, url: str, name: str, target: str, actor: Actor, now: datetime) -> Repository:
    if not url.startswith(ALLOWED_URLS) and "://" in url:
        raise RepositoryRefused(
            f"{url.split('://')[0]}:// is not a transport for clones: use https, ssh, git or file."
        )
    if not url.isprintable() or len(url) > MAX_URL:
        raise RepositoryRefused("This is no URL to clone: it is too long, or has control characters in it.")
    shown = without_secrets(url)
    if again := clone_again(url=url, name=name, target=target, actor=actor):
        give_out_clone(repository=again, now=now)
        return again
    path = settings.SWARMYARD_HOME / "repositories" / f"{name}.git"
    row = Repository(name=name, path=str(path), url=url, target=target, state=RepositoryState.CLONING)
    repository = save_repository(row, actor, f"repository {name}: cloning {shown}")
    give_out_clone(repository=repository, now=now)
    return repository


@transaction.atomic
def clone_again(*, url: str, name: str, target: str, actor: Actor) -> Repository | None:
    """A clone that failed may be asked for again under its name; None when there is no such."""
    rows = Repository.objects.filter(name=name, url=url)
    if not rows.filter(state=RepositoryState.FAILED).update(
        state=RepositoryState.CLONING, target=target, problem=""
    ):
        return None
    repository = rows.get()
    text = f"repository {name}: cloning {repository.shown_url} again"
    record(Fact("repository.added", actor, text, "repository", repository.pk, name))
    return repository


def give_out_clone(*, repository: Repository, now: datetime) -> None:
    """Queue the job of a clone; not again while it may be waiting there."""
    name = f"clone.{repository.pk}.given"
    if leases.acquire(name=name, holder=secrets.token_hex(8), now=now, seconds=GIVEN_SECONDS) is not None:
        enqueue("io", "apps.workspaces.jobs.clone_job", repository.pk)


@transaction.atomic
def save_repository(repository: Repository, actor: Actor, text: str) -> Repository:
    try:
        with transaction.atomic():
            repository.save(force_insert=True)
    except IntegrityError:
        raise RepositoryRefused(
            f"There is a repository “{repository.name}” already: give another one with --name."
        ) from None
    record(Fact("repository.added", actor, text, "repository", repository.pk, repository.name))
    return repository


@transaction.atomic
def finish_clone(*, repository: Repository, target: str, problem: str) -> None:
    state = RepositoryState.FAILED if problem else RepositoryState.READY
    rows = Repository.objects.filter(pk=repository.pk, state=RepositoryState.CLONING)
    if rows.update(state=state, target=target, problem=problem[:500]) == 1:
        text = (
            f"repository {repository.name}: clone failed: {problem}"
            if problem
            else f"repository {repository.name} cloned"
        )
        leases.drop(name=f"clone.{repository.pk}.given")
        record(Fact(f"repository.{state}", YARD, text, "repository", repository.pk, repository.name))


def note_checkout_size(*, repository: Repository, commit: str, size: int) -> None:
    """So that it need not be measured again before the landing target moves on."""
    if repository.checkout_commit != commit:
        Repository.objects.filter(pk=repository.pk).update(checkout_bytes=size, checkout_commit=commit)


@transaction.atomic
def plan_workspaces(*, repository: Repository, agents: list[Agent], base_commit: str) -> None:
    """Rows for the workspaces that `create_workspace` will make, one an agent."""
    home = settings.SWARMYARD_HOME / "workspaces"
    Workspace.objects.bulk_create(
        Workspace(
            repository=repository,
            agent=agent,
            path=str(home / agent.name),
            branch=branch_of(agent.name),
            base_commit=base_commit,
        )
        for agent in agents
    )


@transaction.atomic
def finish_workspaces(*, problems: Mapping[Workspace, str], now: datetime) -> None:
    """Of each "" or what kept it from being made."""
    for workspace, problem in problems.items():
        workspace.state = WorkspaceState.FAILED if problem else WorkspaceState.READY
        workspace.problem = problem[:500]
        workspace.ready_at = None if problem else now
    Workspace.objects.bulk_update(problems, ["state", "problem", "ready_at", "git_directory"], batch_size=100)
