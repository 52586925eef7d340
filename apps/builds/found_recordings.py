"""Recordings that builds leave by themselves: the page of `cargo build --timings`.

Nobody is made to pass `--timings`: cargo then prints a line more on stderr and leaves a page in the build directory at
each run, and commands like `cargo nextest` don't know it. Who passes it finds the analysis at his build's page.
"""

import logging
from datetime import timedelta
from itertools import islice
from pathlib import Path

from django.utils import timezone

from apps.builds import actions
from apps.builds.exceptions import RecordingRefused
from apps.builds.models import Build, Source
from apps.builds.recordings import NotARecording, from_timings
from apps.lib.regular import read_regular

log = logging.getLogger(__name__)

OPTION = "--timings"
PLACE = "cargo-timings"
PAGES = "cargo-timing-*.html"  # cargo-timing.html is a link to the newest
LARGEST = 8 * 1024 * 1024  # bytes
MOST_PAGES = 1_000  # that are looked at
SLACK = timedelta(seconds=1)  # a file's time may lag behind the clock


def pick_up(build: Build) -> bool:
    """Keeps what the build left, if it was asked for. True if there was something."""
    if OPTION not in build.arguments or build.ended_at is None or build.began_at is None:
        return False
    if build.directory is None or hasattr(build, "recording"):
        return False
    begin, end = (build.began_at - SLACK).timestamp(), (build.ended_at + SLACK).timestamp()
    page = newest_page(Path(build.directory.path), begin, end)
    if page is None:
        return False
    try:
        recording = from_timings(read_regular(page, LARGEST).decode("utf-8", "replace"))
        actions.keep_recording(build=build, recording=recording, source=Source.TIMINGS, now=timezone.now())
    except (OSError, NotARecording, RecordingRefused) as error:
        log.warning("the recording of build %s can't be kept: %s", build.pk, error)
        return False
    return True


def newest_page(directory: Path, begin: float, end: float) -> Path | None:
    """The last one that was written between these unix seconds."""
    found: list[tuple[float, Path]] = []
    for path in islice((directory / PLACE).glob(PAGES), MOST_PAGES):
        try:
            at = path.lstat().st_mtime
        except OSError:
            continue
        if begin <= at <= end:
            found.append((at, path))
    return max(found)[1] if found else None
