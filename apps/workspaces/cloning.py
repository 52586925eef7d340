"""Clones of repositories that were registered by URL: made by a job, and given out again when that job was lost."""

import secrets
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from apps.capacity import leases
from apps.lib.paths import OutsideRoot, remove_tree
from apps.workspaces import git
from apps.workspaces.actions import finish_clone, give_out_clone
from apps.workspaces.exceptions import GitFailed, RepositoryRefused
from apps.workspaces.inspection import target_of
from apps.workspaces.models import Repository, RepositoryState

LEASE_SECONDS = 30.0
RENEW_SECONDS = 5.0
ATTEMPTS = 5


def resume_clones(now: datetime) -> None:
    """The sweep: clones that nobody is at are given out again."""
    for repository in Repository.objects.filter(state=RepositoryState.CLONING):
        if not leases.is_held(name=lease_of(repository), now=now):
            give_out_clone(repository=repository, now=now)


def clone_repository(*, repository: Repository, now: datetime) -> None:
    """Runs in a job. One at a time has the lease; git runs in a thread, so that the lease can be renewed meanwhile."""
    holder = secrets.token_hex(8)
    attempt = leases.acquire(name=lease_of(repository), holder=holder, now=now, seconds=LEASE_SECONDS)
    if attempt is None or repository.state != RepositoryState.CLONING:
        return
    if attempt > ATTEMPTS:
        problem = f"it was cut off {ATTEMPTS} times; see the log of the io worker"
        finish_clone(repository=repository, target=repository.target, problem=problem)
        return
    with ThreadPoolExecutor(max_workers=1) as pool:
        cloning = pool.submit(clone_files, repository)
        while not done(cloning):
            leases.acquire(
                name=lease_of(repository), holder=holder, now=timezone.now(), seconds=LEASE_SECONDS
            )
    target, problem = cloning.result()
    finish_clone(repository=repository, target=target, problem=problem)
    leases.drop(name=lease_of(repository))


def done(future: Future[tuple[str, str]]) -> bool:
    return bool(wait([future], timeout=RENEW_SECONDS).done)


def lease_of(repository: Repository) -> str:
    return f"clone.{repository.pk}"


def clone_files(repository: Repository) -> tuple[str, str]:
    """The landing target and the problem, "" when there is none. Whole or not at all: it is moved to its place last."""
    path = Path(repository.path)
    draft = path.with_name(f"{path.name}.partial")
    try:
        if path.exists() and git.origin(path) != repository.url:
            raise GitFailed(f"{path} exists already and is no clone of this URL: remove it first.")
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            remove_tree(settings.SWARMYARD_HOME / "repositories", draft)
            git.clone(repository.url, draft)
            draft.rename(path)
        return target_of(path, repository.target or None), ""
    except (GitFailed, RepositoryRefused, OutsideRoot, OSError) as error:
        return repository.target, str(error)
