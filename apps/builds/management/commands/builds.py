import math
import os
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from apps.builds.analysis_report import (
    Named,
    analysis_data,
    analysis_text,
    comparison_data,
    comparison_text,
)
from apps.builds.domain.analysis import analyse
from apps.builds.domain.units import Recording
from apps.builds.management.tuning import TuningCommands
from apps.builds.models import Build
from apps.builds.queries import BuildFilter, builds_of
from apps.builds.recordings import LONGEST, NotARecording, decoded, from_messages, read
from apps.builds.serial import build_data
from apps.lib import procfs
from apps.lib.cli import table, whole_number
from apps.lib.regular import read_regular

STDIN = "-"


class Command(TuningCommands):
    help = "See builds, where their time went, and to what makes them fast."
    refusals = (NotARecording, *TuningCommands.refusals)

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(required=True, metavar="SUBCOMMAND")
        listing = self.subcommand(commands, "list", "List builds, newest first.")
        listing.add_argument("--wave", default="", help="of this wave's agents alone")
        listing.add_argument("--state", default="", help="open, waiting, running, passed, failed or ended")
        listing.add_argument("--limit", type=whole_number, default=50, help="how many (%(default)s)")
        analyze = self.subcommand(
            commands,
            "analyze",
            "Where a build's time went: critical path, slowest crates, why crates were built, what would help. Of two, "
            "what changed.",
        )
        analyze.add_argument(
            "files",
            metavar="FILE",
            nargs="+",
            help="page of `cargo build --timings`, log of --message-format=json or of what `cargo build -v` says on "
            "stderr, - for such a log while it comes, or the number of a build that has a recording",
        )
        analyze.add_argument("--cores", type=whole_number, help="of the machine that built (this one's)")
        self.add_tuning(commands)

    def do_list(self, **options: Any) -> tuple[Any, str]:
        chosen = BuildFilter(wave=options["wave"], state=options["state"])
        rows = list(builds_of(chosen).with_names()[: max(1, min(options["limit"], 1000))])
        if not rows:
            return [], "No build was reported."
        lines = [line_of(build) for build in rows]
        head = ("ID", "STATE", "WHO", "TOOK s", "WAITED s", "WHAT")
        return [build_data(build) for build in rows], table(head, lines)

    def do_analyze(self, **options: Any) -> tuple[Any, str]:
        if len(options["files"]) > 2:
            raise NotARecording("Give one recording, or two to compare.")
        cores = options["cores"] or max(1, math.floor(procfs.cpu_topology().usable or 1))
        found = [named(name, cores) for name in options["files"]]
        if len(found) == 1:
            return analysis_data(found[0]), analysis_text(found[0])
        return comparison_data(*found), comparison_text(*found)


def line_of(build: Build) -> tuple[object, ...]:
    took = "-"
    if build.began_at and build.ended_at:
        took = f"{(build.ended_at - build.began_at).total_seconds():.1f}"
    waited = (build.slot_wait_ms + build.lock_wait_ms) / 1000
    return build.pk, build.state, build.who, took, f"{waited:.1f}", f"{build.tool} {build.arguments}"[:60]


def named(name: str, cores: int) -> Named:
    recording = recording_in(name)
    return Named(name, recording, analyse(recording, cores=max(1, cores)))


def recording_in(name: str) -> Recording:
    if name == STDIN:
        return from_messages(as_they_come())
    path = Path(name)
    if name.isdecimal() and not path.exists():
        return of_build(int(name))
    try:
        text = read_regular(path, LONGEST, follow=True).decode("utf-8", "replace")
    except OSError as error:
        raise NotARecording(f"{name} can't be read: {error.strerror or error}.") from error
    try:
        return read(text)
    except NotARecording as error:
        raise NotARecording(f"{name}: {error}") from error


def of_build(pk: int) -> Recording:
    build = Build.objects.select_related("recording").filter(pk=min(pk, 2**62)).first()
    if build is None:
        raise NotARecording(f"There is no build {pk}, nor a file of that name.")
    if not hasattr(build, "recording"):
        raise NotARecording(
            f"Build {pk} has no recording: run one with --timings, or add its page to the build's."
        )
    return decoded(build.recording.content)


def as_they_come() -> Iterator[tuple[float, str]]:
    """Lines of stdin, each with the seconds since this process was started, as its pipe's other end was. What came
    before Python could read counts from then on."""
    process = procfs.read_process(os.getpid())
    began = (
        process.start_ticks / os.sysconf("SC_CLK_TCK") if process else time.clock_gettime(time.CLOCK_BOOTTIME)
    )
    for line in sys.stdin:
        yield max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - began), line
