from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.db import IntegrityError, transaction

from apps.access.roles import require
from apps.events.actions import Fact, record
from apps.events.domain.actor import YARD, Actor, Role
from apps.fleet.models import Agent
from apps.lib.queues import enqueue
from apps.workspaces import git
from apps.workspaces.domain.naming import branch_of, is_url, name_from, name_is_valid
from apps.workspaces.exceptions import GitFailed, RepositoryRefused
from apps.workspaces.models import Repository, RepositoryState, Workspace, WorkspaceState

ALLOWED_URLS = ("https://", "http://", "ssh://", "git://", "file://")


def add_repository(
    *, path_or_url: str, actor: Actor, now: datetime, name: str | None = None, target: str | None = None
) -> Repository:
    """Register a repository by the path of a checkout or bare repository, or by a URL, which is cloned by a job."""
    require(actor, Role.OPERATOR, "add a repository")
    name = name or name_from(path_or_url)
    if not name_is_valid(name):
        raise RepositoryRefused(
            f"“{name}” can't be a repository's name: use letters, digits, dot, dash, underscore."
        )
    if is_url(path_or_url):
        return add_by_url(url=path_or_url, name=name, target=target or "", actor=actor)
    path, target = inspect(path_or_url, target)
    known = Repository.objects.filter(path=str(path)).first()
    if known:
        raise RepositoryRefused(f"{path} is registered already, as “{known.name}”.")
    return save_repository(
        Repository(name=name, path=str(path), target=target), actor, f"repository {name} added from {path}"
    )


def inspect(text: str, target: str | None) -> tuple[Path, str]:
    """The path and landing target of a local repository, or a refusal that says what to do."""
    if not text.strip() or "\0" in text:
        raise RepositoryRefused("Give the path of a git repository, or a URL to clone.")
    if "\n" in text or "\r" in text:
        raise RepositoryRefused(
            "This path has a line break in it, which git's own files can't hold: rename the directory."
        )
    path = Path(text).expanduser()
    if not path.is_dir():
        raise RepositoryRefused(
            f"{text} is not a directory: check the path (it is looked up on this machine)."
        )
    path = path.resolve()
    if not git.is_repository(path):
        raise RepositoryRefused(
            f"{path} is not the top of a git repository: run `git init` there, or give the right path."
        )
    return path, target_of(path, target)


def target_of(path: Path, target: str | None) -> str:
    target = target or git.current_branch(path)
    if target is None:
        raise RepositoryRefused(
            f"{path} has no branch checked out: name the landing target with --target BRANCH."
        )
    if git.commit_of(path, f"refs/heads/{target}") is None:
        if git.commit_of(path, "HEAD") is None:
            raise RepositoryRefused(
                f"{path} has no commit yet: make a first commit, so that agents have a start."
            )
        raise RepositoryRefused(
            f"{path} has no branch “{target}”: name an existing one with --target BRANCH."
        )
    return target


def add_by_url(*, url: str, name: str, target: str, actor: Actor) -> Repository:
    if not url.startswith(ALLOWED_URLS) and "://" in url:
        raise RepositoryRefused(
            f"{url.split('://')[0]}:// is not a transport for clones: use https, ssh, git or file."
        )
    path = settings.SWARMYARD_HOME / "repositories" / f"{name}.git"
    row = Repository(name=name, path=str(path), url=url, target=target, state=RepositoryState.CLONING)
    repository = save_repository(row, actor, f"repository {name}: cloning {url}")
    enqueue("io", "apps.workspaces.jobs.clone_job", repository.pk)
    return repository


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


def clone_repository(*, repository: Repository) -> None:
    """Clone what was registered by URL. Runs in a job; a clone that was cut off starts anew."""
    if repository.state != RepositoryState.CLONING:
        return
    path = Path(repository.path)
    try:
        if not (path.is_dir() and git.is_repository(path) and git.current_branch(path)):
            git.clone(repository.url, path)
        target, problem = target_of(path, repository.target or None), ""
    except (GitFailed, RepositoryRefused) as error:
        target, problem = repository.target, str(error)
    finish_clone(repository=repository, target=target, problem=problem)


@transaction.atomic
def finish_clone(*, repository: Repository, target: str, problem: str) -> None:
    state = RepositoryState.FAILED if problem else RepositoryState.READY
    rows = Repository.objects.filter(pk=repository.pk, state=RepositoryState.CLONING)
    if rows.update(state=state, target=target, problem=problem) == 1:
        text = (
            f"repository {repository.name}: clone failed: {problem}"
            if problem
            else f"repository {repository.name} cloned"
        )
        record(Fact(f"repository.{state}", YARD, text, "repository", repository.pk, repository.name))


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


def create_workspace(workspace: Workspace) -> str:
    """Make the checkout on disk; "" or the problem, for people. Run again after it was cut off, it starts anew."""
    path, repository = Path(workspace.path), Path(workspace.repository.path)
    try:
        found = git.commit_of(repository, f"refs/heads/{workspace.branch}")
        if found not in (None, workspace.base_commit):
            return (
                f"the branch {workspace.branch} exists already and has commits of its own: it was left alone"
            )
        if found:
            # Left by an attempt that was cut off before the agent started: nothing of an agent is in it.
            git.remove_worktree(repository, path)
            git.delete_branch(repository, workspace.branch, at=workspace.base_commit)
        git.add_worktree(repository, path=path, branch=workspace.branch, commit=workspace.base_commit)
        workspace.git_directory = str(git.git_directory(path))
    except (GitFailed, OSError) as error:
        git.remove_worktree(repository, path)
        git.delete_branch(repository, workspace.branch, at=workspace.base_commit)
        return str(error)
    return ""


@transaction.atomic
def finish_workspace(*, workspace: Workspace, problem: str, now: datetime) -> None:
    workspace.state = WorkspaceState.FAILED if problem else WorkspaceState.READY
    workspace.problem = problem[:500]
    workspace.ready_at = None if problem else now
    workspace.save(update_fields=["state", "problem", "ready_at", "git_directory"])
