"""Build directories for new agents, made from their repository's base while their workspaces are made.

Called from threads; rows are written by whoever called (`record_starts`). Whatever goes wrong here costs the agent its
warm start and nothing else: it builds in an empty directory then, and its row says why.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.db import transaction

from apps.builds import base_actions, places, views
from apps.builds.bases import NotReady, OnDisk, Ready
from apps.builds.models import Base, BuildDirectory, BuildOptions
from apps.builds.preparing import options_of
from apps.builds.seeding import NothingToSeed, seed
from apps.builds.source_times import sync_times
from apps.events.actions import Fact, record_all
from apps.events.domain.actor import YARD
from apps.fleet import view
from apps.fleet.models import Host
from apps.lib.paths import OutsideRoot, remove_tree
from apps.workspaces.exceptions import GitFailed
from apps.workspaces.models import Workspace

FAULTS = (NotReady, NothingToSeed, GitFailed, OutsideRoot, OSError)
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

    def start_of(self, workspace: Workspace) -> Start:
        """For one that was just made, and in which nothing ran yet."""
        options = self.options[workspace.repository_id]
        if workspace.agent is None or not options.own_directories:
            return Start()
        if not (Path(workspace.path) / MANIFEST).is_file():
            return Start()
        pairs = self.view_of(workspace, options)
        if not options.warm_start:
            return Start(pairs, builds=True)
        keys, source = self.directories_of(workspace, pairs)
        if not places.directories_of(workspace).is_dir():
            pairs = []  # on a full disk: what isn't there can't be shown
        return Start(pairs, keys, source, builds=True)

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

    def directories_of(self, workspace: Workspace, pairs: views.Pairs) -> tuple[list[str], str]:
        """The keys that it has directories for, and where these are from, or why there are none."""
        if workspace.agent is None or (workspace.repository_id, workspace.agent.host_id) not in self.based:
            return [], NO_BASE
        target = places.directories_of(workspace)
        try:
            remove_tree(places.root(), target)  # of an attempt that was cut off
            target.mkdir(parents=True, mode=0o700)
            disk = OnDisk(places.base_of(workspace.repository))
            with disk.to_read(until=self.until) as ready:
                return make_from(disk, ready, workspace, target, is_shown=bool(pairs))
        except FAULTS as error:
            clear(target)
            return [], f"{COLD}{error}"


def make_from(
    disk: OnDisk, ready: Ready, workspace: Workspace, target: Path, *, is_shown: bool
) -> tuple[list[str], str]:
    is_whole = is_shown and ready.same_path and not ready.leaves_files
    keys = disk.keys()
    for key in keys:
        seed(disk.built / key, target / key, without=() if is_whole else ready.own)
    if is_whole:
        # After the directories: what the base builds later can't make a file of ours seem older than its build.
        sync_times(disk.workspace, Path(workspace.path))
    return keys, f"base at {ready.commit[:12]}" + ("" if is_whole else ", dependencies only")


def clear(target: Path) -> None:
    """What was made before something failed. It would do no harm: each key's directory is whole or isn't there."""
    try:
        remove_tree(places.root(), target)
        target.mkdir(parents=True, mode=0o700)
    except (OSError, OutsideRoot):
        pass


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
