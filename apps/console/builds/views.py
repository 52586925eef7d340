from dataclasses import replace

from django.core.files.uploadedfile import UploadedFile
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_POST, require_safe

from apps.builds.actions import keep_recording
from apps.builds.domain.units import Recording
from apps.builds.exceptions import RecordingRefused
from apps.builds.models import Build, Source
from apps.builds.recordings import NotARecording, decoded, read
from apps.console import links
from apps.console.builds import waits as waiting
from apps.console.builds.recording import report_of
from apps.console.builds.selection import MODES
from apps.console.moment import Moment
from apps.console.pages import act, now, page, view_of
from apps.events.domain.actor import Actor
from apps.fleet.models import Agent
from apps.workspaces.models import Repository

MOST_CHOICES = 200
LARGEST_FILE = 8 * 1024 * 1024  # bytes


@require_safe
def builds(request: HttpRequest) -> HttpResponse:
    waves = Agent.objects.order_by().values_list("group", flat=True).distinct()[:MOST_CHOICES]
    repositories = Repository.objects.order_by("name").values_list("name", flat=True)[:MOST_CHOICES]
    labels = sorted(waves, key=lambda label: (len(label), label), reverse=True)
    return page(
        request,
        "console/builds/list.html",
        "builds",
        Moment(now()),
        {"builds_numbers": {}, "builds_waiting": {}, "builds_table": {}},
        tab="builds",
        selects=[
            ("wave", "Wave", "All waves", labels, request.GET.get("wave", "")),
            ("mode", "Mode", "All modes", MODES, request.GET.get("mode", "")),
            (
                "repository",
                "Repository",
                "All repositories",
                list(repositories),
                request.GET.get("repository", ""),
            ),
        ],
        kept=[(name, request.GET.get(name, "")) for name in ("window", "state", "agent", "host")],
    )


@require_safe
def waits(request: HttpRequest) -> HttpResponse:
    waiting.seen[view_of("build_wait_pairs", request).window].fresh()
    return page(
        request,
        "console/builds/waits.html",
        "builds",
        Moment(now()),
        {"builds_waiting": {}, "build_wait_chart": {}, "build_wait_pairs": {}},
        tab="waits",
        charts=(waiting.WAITS,),
    )


@require_safe
def directories(request: HttpRequest) -> HttpResponse:
    regions: dict[str, dict[str, str]] = {"build_directories": {}}
    return page(
        request, "console/builds/directories.html", "builds", Moment(now()), regions, tab="directories"
    )


@require_safe
def build(request: HttpRequest, pk: int) -> HttpResponse:
    shown = get_object_or_404(Build, pk=pk)
    return page(
        request,
        "console/builds/build.html",
        "builds",
        Moment(now()),
        {"build_shown": {"pk": str(pk)}},
        build=shown,
        what=f"{shown.tool} {shown.arguments}",
    )


@require_safe
def analysis(request: HttpRequest, pk: int) -> HttpResponse:
    """Where its time went, told from its recording. It doesn't move: the build is over."""
    shown = get_object_or_404(Build.objects.select_related("recording", "host"), pk=pk)
    if not hasattr(shown, "recording"):
        raise Http404("This build has no recording.")
    try:
        recording = decoded(shown.recording.content)
    except NotARecording as error:
        raise Http404(str(error)) from error
    return page(
        request,
        "console/builds/analysis.html",
        "builds",
        Moment(now()),
        {},
        build=shown,
        what=f"{shown.tool} {shown.arguments}",
        report=report_of(shown, recording),
    )


@require_POST
def record(request: HttpRequest, pk: int) -> HttpResponse:
    shown = get_object_or_404(Build, pk=pk)

    def deed(actor: Actor) -> str:
        add_recording(shown, request.FILES.get("recording"), actor)
        return f"Build {pk} has a recording now."

    return act(request, deed, links.build(pk))


def add_recording(build: Build, file: UploadedFile | None, actor: Actor) -> None:
    """Raises RecordingRefused."""
    if file is None or not file.size:
        raise RecordingRefused(
            "Choose a file: the page of --timings, or a log of --message-format=json or of `cargo build -v`."
        )
    if file.size > LARGEST_FILE:
        raise RecordingRefused("This file has more than 8 MB: `manage.py builds analyze` reads it.")
    try:
        recording = read(file.read().decode("utf-8", "replace"))
    except NotARecording as error:
        raise RecordingRefused(str(error)) from error
    if not recording.has_times and recording.rebuilds is None:
        raise RecordingRefused(
            "This log has no times: each line must begin with its time, as `ts %.s` writes it. Or it is one of "
            "`cargo build -v`, with the reasons why crates were built."
        )
    recording = together(kept_of(build), recording)
    source = Source.TIMINGS if recording.has_graph else Source.MESSAGES
    keep_recording(build=build, recording=recording, source=source, now=now(), actor=actor)


def kept_of(build: Build) -> Recording | None:
    """What the build has already, where it can be read."""
    if not hasattr(build, "recording"):
        return None
    try:
        return decoded(build.recording.content)
    except NotARecording:
        return None


def together(kept: Recording | None, new: Recording) -> Recording:
    """The new one in place of that which is kept; reasons are added to times, and times to reasons."""
    if kept is not None and kept.has_times and not new.has_times:
        return replace(kept, rebuilds=new.rebuilds)
    return new.with_reasons_of(kept)
