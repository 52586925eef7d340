from datetime import datetime
from typing import Annotated, Any

from django.http import Http404, HttpRequest
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Field, Query, Router, Schema

from apps.builds.analysis_report import Named, analysis_data
from apps.builds.domain.analysis import analyse
from apps.builds.models import Build, BuildDirectory
from apps.builds.queries import BuildFilter, builds_of, cores_of, ongoing_waits
from apps.builds.recordings import NotARecording, decoded
from apps.builds.serial import build_data, directory_data, ongoing_data, wait_data
from apps.fleet.models import Host
from apps.fleet.readings import answers

builds = Router(tags=["builds"])
directories = Router(tags=["build directories"])
MOST_WAITS = 1000
Number = Annotated[int | None, Query(ge=0, le=2**62)]  # of a row: no database takes larger ones
Name = Annotated[str, Query(pattern=r"^[^\x00]*$")]


class BuildOut(Schema):
    id: int
    host: str
    agent: str | None = Field(description="none: no agent of this yard built it")
    agent_id: int | None
    who: str
    directory_id: int | None = Field(description="none: only the tool knows where it builds")
    tool: str
    mode: str = Field(description="check, dev, test or release")
    arguments: str
    cwd: str
    state: str = Field(description="waiting (for a slot), running, passed, failed, killed or lost")
    asked_at: datetime
    began_at: datetime | None = Field(description="when it had its slot")
    ended_at: datetime | None
    exit_code: int | None = Field(description="minus the number of the signal that ended it")
    ended_with: str = Field(description="the same in words")
    slot_wait_ms: float
    lock_wait_ms: float = Field(description="for locks of files, all kinds")
    memory_bytes: int | None = Field(description="of its largest process")


class LockWaitOut(Schema):
    kind: str
    path: str
    began_at: datetime
    ms: float
    holder_build: int | None = Field(description="the build that held the lock")
    holder: str | None = Field(description="who that was")
    holder_pid: int | None = Field(description="of the process that held it, where that is known")


class OngoingWaitOut(Schema):
    build: int
    who: str
    kind: str
    path: str
    began_at: datetime
    holder_build: int | None = Field(description="the build that holds the lock")
    holder: str | None = Field(description="who that is")
    holder_pid: int | None = Field(description="of the process that holds it, where that is known")


class BuildDetailOut(BuildOut):
    waits: list[LockWaitOut]


class BuildDirectoryOut(Schema):
    id: int
    host: str
    path: str
    agent: str | None
    repository: str | None
    tool: str
    key: str = Field(description="empty for one that its user chose")
    parts: dict[str, str]
    warm_source: str
    builds: int
    size_bytes: int | None = Field(description="blocks on disk; none: not measured, or not there")
    shared_bytes: int | None = Field(description="the part of it that has links outside of it as well")
    sized_at: datetime | None
    created_at: datetime
    used_at: datetime | None


@builds.get("", response=list[BuildOut], summary="List builds, newest first; `before` pages on, by id")
def list_builds(
    request: HttpRequest,
    agent: Number = None,
    wave: Name = "",
    mode: Name = "",
    state: Name = "",
    repository: Name = "",
    host: Name = "",
    before: Number = None,
    limit: int = 100,
) -> Any:
    chosen = BuildFilter(agent, wave, mode, state, repository, host)
    rows = builds_of(chosen).with_names().order_by("-pk")
    if before is not None:
        rows = rows.filter(pk__lt=before)
    return [build_data(build) for build in rows[: max(1, min(limit, 1000))]]


@builds.get(
    "/waits-now",
    response=list[OngoingWaitOut],
    summary="List waits for locks of files that go on, the longest first",
)
def list_waits_now(request: HttpRequest, wave: Name = "", repository: Name = "", host: Name = "") -> Any:
    now = timezone.now()
    talking = [each.pk for each in Host.objects.all() if answers(each, now)]
    chosen = BuildFilter(wave=wave, repository=repository, host=host)
    return [ongoing_data(wait) for wait in ongoing_waits(chosen, talking)[:MOST_WAITS]]


@builds.get("/{int:pk}", response=BuildDetailOut, summary="Show a build with its waits for locks")
def show_build(request: HttpRequest, pk: int) -> Any:
    build = get_object_or_404(Build.objects.with_names(), pk=pk)
    waits = build.waits.select_related("holder")[:MOST_WAITS]
    return build_data(build) | {"waits": [wait_data(wait) for wait in waits]}


@builds.get(
    "/{int:pk}/analysis",
    response=dict[str, Any],
    summary="Where the time of a build went that has a recording, and why its crates were built",
)
def show_analysis(request: HttpRequest, pk: int) -> Any:
    """As `builds analyze --json` has it; none for what the recording doesn't tell."""
    build = get_object_or_404(Build.objects.select_related("recording", "host"), pk=pk)
    if not hasattr(build, "recording"):
        raise Http404("This build has no recording.")
    try:
        recording = decoded(build.recording.content)
    except NotARecording as error:
        raise Http404(str(error)) from error
    return analysis_data(Named(f"build {pk}", recording, analyse(recording, cores=cores_of(build.host))))


@directories.get(
    "",
    response=list[BuildDirectoryOut],
    summary="List build directories, newest first; `before` pages on, by id",
)
def list_directories(
    request: HttpRequest, repository: Name = "", host: Name = "", before: Number = None, limit: int = 100
) -> Any:
    rows = BuildDirectory.objects.select_related("host", "repository", "workspace__agent")
    rows = rows.defer("workspace__agent__prompt", "workspace__agent__command").order_by("-pk")
    if repository:
        rows = rows.filter(repository__name=repository)
    if host:
        rows = rows.filter(host__name=host)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    return [directory_data(row) for row in rows[: max(1, min(limit, 1000))]]
