"""The only place that writes build directories, builds and lock waits."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import F

from apps.builds import places
from apps.builds.bases import OnDisk
from apps.builds.disk_use import DiskUse
from apps.builds.domain.lock_waits import LockKind
from apps.builds.domain.units import Recording
from apps.builds.exceptions import RecordingRefused
from apps.builds.lock_watch import BuildWait
from apps.builds.models import (
    OPEN,
    Base,
    Build,
    BuildDirectory,
    BuildRecording,
    BuildState,
    HostSlots,
    LockWait,
    OngoingWait,
    Source,
)
from apps.builds.recordings import encoded
from apps.builds.reports import Found, Report
from apps.builds.views import real_path
from apps.events.actions import LONGEST_DAYS, Fact, record
from apps.events.domain.actor import Actor
from apps.events.hints import publish_on_commit
from apps.fleet.models import Agent, Host
from apps.fleet.places import home_id
from apps.lib.text import plain_text
from apps.workspaces.models import Repository, Workspace

BASE = "base-"  # begins, in a run's marker, the number of a base in place of an agent's

LARGEST_RECORDING = 4 * 1024 * 1024  # characters
MOST_RECORDINGS = 200
MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Builder:
    """Who builds: an agent of this yard, the base of a repository, or somebody who calls himself something."""

    agent: Agent | None
    name: str
    base: Base | None = None

    @property
    def workspace(self) -> Workspace | None:
        return getattr(self.agent, "workspace", None)

    @property
    def repository(self) -> Repository | None:
        owner = self.base or self.workspace
        return owner.repository if owner else None

    def real(self, path: str) -> str:
        """Where that lies which the builder may see somewhere else."""
        repository, workspace = self.repository, self.workspace
        if repository is None:
            return path
        disk = OnDisk(places.base_of(repository))
        built = places.directories_of(workspace) if workspace else disk.built
        checkout = workspace.path if workspace else str(disk.workspace)
        return real_path(path, built, checkout=checkout, repository_pk=repository.pk)


@transaction.atomic
def record_report(*, host: Host, found: Found) -> Build:
    """What a shim said last of its build. Saying it again changes nothing."""
    report, builder = found.report, builder_of(found.report)
    directory = directory_of(host, report, builder)
    fields = {
        "agent": builder.agent,
        "directory": directory,
        "who": plain_text(builder.name, 80),
        "group": builder.agent.group if builder.agent else "",
        "tool": plain_text(report.tool, 20),
        "mode": plain_text(report.mode, 20),
        "arguments": plain_text(report.arguments, 4096),
        "cwd": plain_text(builder.real(report.cwd), 4096),
        "pid": report.pid,
        "start_ticks": report.start_ticks,
        "asked_at": at(report.asked_at),
        "began_at": maybe_at(report.began_at),
        "slot_wait_ms": report.slot_wait_ms,
    }
    build, _ = Build.objects.get_or_create(host=host, report=found.name, defaults=fields)
    ending: dict[str, object] = {"state": state_of(report)}
    if report.ended_at is not None:
        ending |= {
            # Not before it began, as it would seem where the clock was set back.
            "ended_at": at(max(report.ended_at, report.began_at or report.asked_at)),
            "exit_code": report.exit_code,
            "memory_bytes": report.memory,
        }
    # One that has ended stays as it is, but for one that was given up too early.
    rows = Build.objects.filter(pk=build.pk, state__in=(*OPEN, BuildState.LOST))
    if rows.update(**fields, **ending):
        if report.ended_at is not None and directory is not None:
            count_build(directory, at(report.ended_at))
        if report.began_at is not None:
            record_slot_wait(host, build, report)
        build.refresh_from_db()
        publish_on_commit("build", build.pk)
    return build


def builder_of(report: Report) -> Builder:
    """By the marker of its run, which tells agents of the same name on two homes apart."""
    home, _, rest = report.run.partition(".")
    pk, _, _ = rest.partition(".")
    if home == home_id() and pk.startswith(BASE) and pk.removeprefix(BASE).isdecimal():
        base = Base.objects.filter(pk=int(pk.removeprefix(BASE)[:18])).select_related("repository").first()
        return Builder(None, report.agent, base)
    if home == home_id() and pk.isascii() and pk.isdigit():
        agent = Agent.objects.filter(pk=int(pk[:18])).first()
        if agent is not None:
            return Builder(agent, agent.name)
    return Builder(None, report.agent)


def builder_that(build: Build) -> Builder:
    """The same, of a build that is a row."""
    directory = build.directory
    if build.agent is not None or directory is None or directory.repository_id is None:
        return Builder(build.agent, build.who)
    base = Base.objects.filter(host=build.host_id, repository=directory.repository_id).select_related(
        "repository"
    )
    return Builder(None, build.who, base.first())


def directory_of(host: Host, report: Report, builder: Builder) -> BuildDirectory | None:
    """Its row; None where only the tool knows where it builds."""
    if not report.directory:
        return None
    path = builder.real(report.directory)
    directory, _ = BuildDirectory.objects.get_or_create(
        host=host,
        path=plain_text(path, 4096),
        defaults={
            "workspace": builder.workspace,
            "repository": builder.repository,
            "tool": plain_text(report.tool, 20),
            "key": report.directory.rpartition("/")[2][:64] if report.key else "",
            "parts": {plain_text(name, 200): plain_text(value, 4096) for name, value in report.key.items()},
        },
    )
    return directory


def count_build(directory: BuildDirectory, ended_at: datetime) -> None:
    BuildDirectory.objects.filter(pk=directory.pk).update(builds=F("builds") + 1, used_at=ended_at)


def record_slot_wait(host: Host, build: Build, report: Report) -> None:
    if not report.slot_owners or report.began_at is None:
        return
    holder = Build.objects.filter(host=host, pid=report.slot_owners[0]).exclude(pk=build.pk).last()
    LockWait.objects.get_or_create(
        build=build,
        kind=LockKind.SLOT,
        defaults={
            "holder": holder,
            "holder_pid": report.slot_owners[0],
            "began_at": at(report.asked_at),
            "ms": report.slot_wait_ms,
        },
    )


@transaction.atomic
def record_waits(*, host: Host, waits: Sequence[BuildWait]) -> int:
    """Waits for locks of files. Those of builds that nobody reported are passed over. Returns how many were written."""
    names = {wait.build for wait in waits} | {wait.holder for wait in waits if wait.holder}
    rows = Build.objects.filter(host=host, report__in=names)
    builds = {
        row.report: row
        for row in rows.select_related("agent__workspace__repository", "directory__repository")
    }
    known = [wait for wait in waits if wait.build in builds]
    builders = {wait.build: builder_that(builds[wait.build]) for wait in known}
    LockWait.objects.bulk_create(
        LockWait(
            build=builds[wait.build],
            kind=wait.kind,
            path=plain_text(builders[wait.build].real(wait.path), 4096),
            holder=builds.get(wait.holder),
            holder_pid=wait.holder_pid,
            began_at=at(wait.began),
            ms=wait.ms,
        )
        for wait in known
    )
    for wait in known:
        Build.objects.filter(pk=builds[wait.build].pk).update(lock_wait_ms=F("lock_wait_ms") + wait.ms)
    return len(known)


@transaction.atomic
def record_ongoing(*, host: Host, waits: Sequence[BuildWait]) -> None:
    """All waits that go on there, in place of those that were known. A build that has ended waits for nothing."""
    OngoingWait.objects.filter(build__host=host).delete()
    names = {wait.build for wait in waits} | {wait.holder for wait in waits if wait.holder}
    builds = {build.report: build for build in Build.objects.filter(host=host, report__in=names)}
    known = [wait for wait in waits if wait.build in builds and builds[wait.build].state in OPEN]
    OngoingWait.objects.bulk_create(
        OngoingWait(
            build=builds[wait.build],
            kind=wait.kind,
            path=plain_text(wait.path, 4096),
            holder=builds.get(wait.holder),
            holder_pid=wait.holder_pid,
            began_at=at(wait.began),
        )
        for wait in known
    )
    publish_on_commit("build", 0)  # whoever shows waits looks again


@transaction.atomic
def give_up(*, builds: Iterable[Build], now: datetime) -> list[Build]:
    """Builds whose processes are gone without a word: they were killed together with their shim."""
    lost = [
        build
        for build in builds
        if Build.objects.filter(pk=build.pk, state__in=OPEN).update(state=BuildState.LOST, ended_at=now)
    ]
    for build in lost:
        publish_on_commit("build", build.pk)
    return lost


@transaction.atomic
def tell_slots(*, host: Host, slots: int, now: datetime) -> None:
    """How many builds the host lets run at once."""
    HostSlots.objects.update_or_create(host=host, defaults={"slots": slots, "told_at": now})
    publish_on_commit("host", host.pk)


def record_size(*, directory: BuildDirectory, size: DiskUse | None, now: datetime) -> None:
    """None: it isn't there, or it couldn't be told in time."""
    BuildDirectory.objects.filter(pk=directory.pk).update(
        size_bytes=size.bytes if size else None,
        shared_bytes=size.shared if size else None,
        sized_at=now,
    )
    publish_on_commit("build", 0)  # of no build: whoever shows directories looks again


@transaction.atomic
def forget_by_hand(*, host: Host, paths: Sequence[Path], bytes_freed: int, actor: Actor) -> None:
    """Of build directories of people, after these were removed."""
    BuildDirectory.objects.filter(
        host=host, path__in=[plain_text(str(path), 4096) for path in paths]
    ).delete()
    text = f"{len(paths)} build directories of people were removed: {bytes_freed // MB} MB are free."
    record(Fact("builds.cleaned", actor, text, "host", host.pk, host.name))


@transaction.atomic
def keep_recording(
    *, build: Build, recording: Recording, source: Source, now: datetime, actor: Actor | None = None
) -> BuildRecording:
    """In place of one that the build has. `actor`: who gave it; None where it was found. Raises RecordingRefused."""
    content = encoded(recording)
    if len(content) > LARGEST_RECORDING:
        raise RecordingRefused("This recording is too large to be kept: `manage.py builds analyze` reads it.")
    kept, _ = BuildRecording.objects.update_or_create(
        build=build,
        defaults={
            "source": source,
            "content": content,
            "given_by": actor.name if actor else "",
            "kept_at": now,
        },
    )
    forget_old_recordings()
    if actor is not None:
        text = f"a recording of build {build.pk} was added by {actor.name}"
        record(Fact("build.recorded", actor, text, topic="build", subject_id=build.pk, subject=str(build)))
    publish_on_commit("build", build.pk)
    return kept


@transaction.atomic
def forget_old_builds(*, now: datetime, limit: int) -> int:
    """Those that were over before the days that builds are kept, with their waits and recordings. Returns how many,
    `limit` at most."""
    kept = timedelta(days=min(max(1, settings.BUILDS_KEPT_DAYS), LONGEST_DAYS))
    old = Build.objects.exclude(state__in=OPEN).filter(asked_at__lt=now - kept).order_by("asked_at")
    pks = list(old.values_list("pk", flat=True)[:limit])
    Build.objects.filter(pk__in=pks).delete()
    waits = LockWait.objects.filter(build=None, began_at__lt=now - kept).values_list("pk", flat=True)[:limit]
    LockWait.objects.filter(pk__in=list(waits)).delete()
    return len(pks)


def forget_old_recordings() -> None:
    """The newest MOST_RECORDINGS are kept: each may take megabytes."""
    old = BuildRecording.objects.order_by("-kept_at").values_list("pk", flat=True)[MOST_RECORDINGS:]
    BuildRecording.objects.filter(pk__in=list(old)).delete()


def state_of(report: Report) -> BuildState:
    if report.ended_at is None:
        return BuildState.WAITING if report.began_at is None else BuildState.RUNNING
    if not report.exit_code:
        return BuildState.PASSED
    return BuildState.KILLED if report.exit_code < 0 else BuildState.FAILED


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def maybe_at(seconds: float | None) -> datetime | None:
    return None if seconds is None else at(seconds)
