"""Build directories for new agents, made from their repository's base while their workspaces are made.

Called from threads; rows are written by whoever called (`record_starts`). Whatever goes wrong here costs the agent its
warm start and nothing else: it builds in an empty directory then, and its row says why.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.db import transaction

from apps.builds import base_actions, places, views
from apps.builds.bases import NotReady, OnDisk, Ready
from apps.builds.models import Base, BuildDirectory, BuildOptions
from apps.builds.preparing import options_of
from apps.builds.seeding import NothingToSeed, Spoiled, seed
from apps.builds.source_times import sync_times
from apps.events.actions import Fact, record_all
from apps.events.domain.actor import YARD
from apps.fleet import view
from apps.fleet.models import Host
from apps.lib.paths import OutsideRoot, remove_tree
from apps.workspaces.checkouts import nobody_else
from apps.workspaces.exceptions import GitFailed
from apps.workspaces.models import Workspace

FAULTS = (NotReady, NothingToSeed, Spoiled, GitFailed, OutsideRoot, OSError)
MANIFEST = "Cargo.toml"
COLD = "cold: "
NO_BASE = f"{COLD}there is no base yet"


@dataclass(frozen=True, slots=True)
class Start:
    """What an agent begins with. `source`: what its build directories are made from, or why they are empty; "" for a
    workspace that nothing is done for."""

    view: views.Pairs = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    source: str = ""
    builds: bool = False
    spoiled: bool = False  # the base is to be built from the start


class Warmth:
    """For the workspaces of one job. Nothing is looked up or done for repositories without a manifest."""

    def __init__(self, workspaces: Iterable[Workspace]) -> None:
        chosen = list(workspaces)
        repositories = {workspace.repository_id for workspace in chosen}
        hosts = {workspace.agent.host_id for workspace in chosen if workspace.agent}
        self.options = options_of(repositories)
        self.hosts = {host.pk: host for host in Host.objects.filter(pk__in=hosts)}
        rows = Base.objects.filter(repository__in=repositories, host__in=hosts)
        self.based = set(rows.values_list("repository_id", "host_id"))
        # For all of them together: a base that is being built holds up nobody for longer.
        self.until = time.monotonic() + settings.BASE_WAIT_SECONDS

    def start_of(self, workspace: Workspace, is_ours: Callable[[], bool] = nobody_else) -> Start:
        """For one that was just made, and in which nothing ran yet. `is_ours` is asked before anything is cleared away:
        by then somebody else may have been told to make it."""
        options = self.options[workspace.repository_id]
        if workspace.agent is None or not options.own_directories:
            return Start()
        if not (Path(workspace.path) / MANIFEST).is_file():
            return Start()
        pairs = self.view_of(workspace, options)
        if not options.warm_start:
            return Start(pairs, builds=True)
        start = self.warm(workspace, pairs, is_ours)
        if not places.directories_of(workspace).is_dir():
            return replace(start, view=[])  # on a full disk: what isn't there can't be shown
        return start

    def view_of(self, workspace: Workspace, options: BuildOptions) -> views.Pairs:
        checkout = Path(workspace.path)
        host = self.hosts[workspace.agent.host_id] if workspace.agent else None
        allowed = options.same_path and settings.SAME_PATH
        if not allowed or host is None or not view.can(host) or not views.can_be_shown(checkout):
            return []
        built, pk = places.directories_of(workspace), workspace.repository_id
        try:
            return views.show(checkout, built, repository_pk=pk, pointer=str(workspace.pk))
        except OSError:
            return []

    def warm(self, workspace: Workspace, pairs: views.Pairs, is_ours: Callable[[], bool]) -> Start:
        if workspace.agent is None or (workspace.repository_id, workspace.agent.host_id) not in self.based:
            return Start(pairs, source=NO_BASE, builds=True)
        if not is_ours():
            return Start()
        target = places.directories_of(workspace)
        try:
            clear(target)  # of an attempt that was cut off
            disk = OnDisk(places.base_of(workspace.repository))
            with disk.to_read(until=self.until) as ready:
                keys, source = make_from(disk, ready, workspace, target, is_shown=bool(pairs))
            return Start(pairs, keys, source, builds=True)
        except FAULTS as error:
            # What was made before would do no harm: each key's directory is whole or isn't there.
            with suppress(*FAULTS):
                if is_ours():
                    clear(target)
            return Start(pairs, [], f"{COLD}{error}", builds=True, spoiled=isinstance(error, Spoiled))


def make_from(
    disk: OnDisk, ready: Ready, workspace: Workspace, target: Path, *, is_shown: bool
) -> tuple[list[str], str]:
    """The keys that it has directories for now, and where these are from."""
    is_whole = is_shown and ready.same_path and not ready.leaves_files
    keys = disk.keys()
    for key in keys:
        without = () if is_whole else ready.own
        seed(disk.built / key, target / key, without=without, built_at=ready.built_at)
    if is_whole:
        # After the directories: what the base builds later can't make a file of ours seem older than its build.
        sync_times(disk.workspace, Path(workspace.path))
    return keys, f"base at {ready.commit[:12]}" + ("" if is_whole else ", dependencies only")


def clear(target: Path) -> None:
    remove_tree(places.root(), target)
    target.mkdir(parents=True, mode=0o700)


@transaction.atomic
def record_starts(starts: dict[Workspace, Start], now: datetime) -> None:
    """Rows of the directories, and bases for the repositories whose agents build."""
    builds = {workspace: start for workspace, start in starts.items() if start.builds}
    for workspace, start in builds.items():
        for key in start.keys:
            BuildDirectory.objects.update_or_create(
                host=host_of(workspace),
                path=str(places.directories_of(workspace) / key),
                defaults={
                    "workspace": workspace,
                    "repository": workspace.repository,
                    "tool": "cargo",
                    "key": key,
                    "warm_source": start.source[:200],
                },
            )
    tell_cold(builds)
    spoiled = {(host_of(each).pk, each.repository_id) for each, start in builds.items() if start.spoiled}
    for host_pk, repository_pk in spoiled:
        base_actions.build_anew(host_pk=host_pk, repository_pk=repository_pk)
    wanted = {(host_of(each), each.repository_id): each for each, start in builds.items() if start.source}
    for (host, _), workspace in wanted.items():
        base_actions.ensure_base(
            repository=workspace.repository,
            host=host,
            commit=workspace.base_commit,
            now=now,
        )


def host_of(workspace: Workspace) -> Host:
    if workspace.agent is None:
        raise ValueError("a workspace without an agent has no host")
    return workspace.agent.host


def tell_cold(starts: Mapping[Workspace, Start]) -> None:
    """Once for each cause. That there is no base yet is no news: one is built from now on."""
    cold = Counter(
        (workspace.repository, start.source)
        for workspace, start in starts.items()
        if start.source.startswith(COLD) and start.source != NO_BASE
    )
    record_all(
        Fact(
            "base.passed_over",
            YARD,
            f"{count} agents of {repository.name} start cold: {source.removeprefix(COLD)}"[:600],
            "repository",
            repository.pk,
            repository.name,
        )
        for (repository, source), count in cold.items()
    )
