"""The part of the host process that keeps rows of builds: reads shims' reports, writes lock waits, sets the slots."""

import logging
import threading
import time
from contextlib import suppress

from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections
from django.utils import timezone

from apps.builds import actions, jobserver, places
from apps.builds.domain.slots import is_short, slots
from apps.builds.found_recordings import pick_up
from apps.builds.git_actions import record_git_waits
from apps.builds.git_traces import GitTraces
from apps.builds.lock_watch import LockWatch, watch
from apps.builds.models import Build, BuildState
from apps.builds.reports import Found, ReportBox
from apps.builds.samples import frame_of, git_frame_of
from apps.fleet.models import Host
from apps.lib import procfs
from apps.lib.paths import write_whole
from apps.lib.redis import RedisUnavailable
from apps.telemetry.ingest import append_frames

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.025  # between two looks whether anybody reported: one system call
TURN_SECONDS = 0.25  # between two turns while builds run
SLOTS_SECONDS = 1.0
GONE_SECONDS = 2.0
AWAY_SECONDS = 1.0  # after the database refused
MB = 1024 * 1024
LIMIT = "limit"  # as the shims know it


class Recorder:
    def __init__(self, host: Host, locks: LockWatch) -> None:
        self.host = host
        self.locks = locks
        self.box = ReportBox(places.reports())
        self.git = GitTraces(places.git_traces())
        self._limit = 0
        # Waits that go on, as they were told last; None: those of an earlier process may stand there.
        self._ongoing: set[tuple[str, str, int, int]] | None = None

    def turn(self) -> int:
        """Writes down what is new. Returns how many builds are under way."""
        news = self.box.news()
        builds = [(found, actions.record_report(host=self.host, found=found)) for found in news]
        if waits := self.locks.taken():
            actions.record_waits(host=self.host, waits=waits)
        self._tell_ongoing()
        for found, build in builds:
            self._tell(found, build)
        return Build.objects.open().filter(host=self.host).count()

    def _tell_ongoing(self) -> None:
        """Only when they aren't the same any more: most looks find what the one before did."""
        waits = self.locks.ongoing()
        ongoing = {(wait.build, wait.path, wait.holder_pid, round(wait.began)) for wait in waits}
        if ongoing != self._ongoing:
            actions.record_ongoing(host=self.host, waits=waits)
            self._ongoing = ongoing

    def _tell(self, found: Found, build: Build) -> None:
        """A report is kept until its sample is in the stream."""
        if found.report.ended_at is not None and (frame := frame_of(build)) is not None:
            try:
                if append_frames([frame]) == ["full"]:
                    return
            except RedisUnavailable as error:
                log.debug("a build isn't counted yet: %s", error)
                return
        pick_up(build)
        self.box.keep(found)
        if build.state == BuildState.KILLED:
            jobserver.renew()

    def note_git_waits(self) -> None:
        """Their samples are lost where Redis is away: git's files are gone by then."""
        refused = self.git.news()
        if not refused:
            return
        record_git_waits(refused=refused)
        if frames := [frame for each in refused if (frame := git_frame_of(each.command)) is not None]:
            try:
                append_frames(frames)
            except RedisUnavailable as error:
                log.debug("refusals of git aren't counted: %s", error)

    def give_up_gone(self) -> None:
        """Builds that were killed together with their shim say nothing any more."""
        dead = [build for build in Build.objects.open().filter(host=self.host) if not is_alive(build)]
        # Some told their end before they died.
        gone = [build for build in dead if not self.box.tells_end(build.report)]
        lost = actions.give_up(builds=gone, now=timezone.now())
        for build in lost:
            self.box.remove(build.report)
        if lost:
            jobserver.renew()

    def set_slots(self) -> None:
        limit = slots(
            configured=settings.BUILD_SLOTS,
            usable_cpus=procfs.cpu_topology().usable,
            memory_is_short=is_short(
                pressure=procfs.pressure("memory"),
                most_pressure=settings.MAX_MEMORY_PRESSURE,
                available=procfs.read_memory().available,
                least_available=settings.MEMORY_RESERVE_MB * MB,
            ),
        )
        if limit != self._limit:
            write_whole(places.slots() / LIMIT, f"{limit}\n".encode())
            actions.tell_slots(host=self.host, slots=limit, now=timezone.now())
            self._limit = limit


def is_alive(build: Build) -> bool:
    process = procfs.read_process(build.pid)
    return process is not None and process.alive and process.start_ticks == build.start_ticks


def start(host: Host, stop: threading.Event) -> None:
    """Two threads: one looks at locks, which must not wait for the database, one writes."""
    places.make_ready()
    jobserver.make_ready(procfs.cpu_topology().usable)
    locks, anybody_builds = LockWatch(), threading.Event()
    recorder = Recorder(host, locks)
    for target, arguments in (
        (watch, (locks, anybody_builds, stop)),
        (keep_recording, (recorder, anybody_builds, stop)),
    ):
        threading.Thread(target=target, args=arguments, name=f"builds {target.__name__}", daemon=True).start()


def keep_recording(recorder: Recorder, anybody_builds: threading.Event, stop: threading.Event) -> None:
    schedule = Schedule(recorder, anybody_builds)
    while not stop.wait(LOOK_SECONDS):
        try:
            schedule.look()
        except (DatabaseError, InterfaceError, OSError) as error:
            log.warning("builds are written down later: %s", error)
            with suppress(Exception):
                close_old_connections()
            stop.wait(AWAY_SECONDS)


class Schedule:
    """What is due at each look."""

    def __init__(self, recorder: Recorder, anybody_builds: threading.Event) -> None:
        self.recorder = recorder
        self.anybody_builds = anybody_builds
        self._changed_at = -1
        self._due: dict[str, float] = {}

    def look(self) -> None:
        changed_at = self.recorder.box.directory.stat().st_mtime_ns
        has_news = changed_at != self._changed_at
        if has_news:
            self.anybody_builds.set()  # before anything slow
        if has_news or (self.anybody_builds.is_set() and self._is_due("turn", TURN_SECONDS)):
            self._changed_at = changed_at
            if not self.recorder.turn():
                self.anybody_builds.clear()
        if self.anybody_builds.is_set() and self._is_due("gone", GONE_SECONDS):
            self.recorder.give_up_gone()
        if self._is_due("git", TURN_SECONDS):
            self.recorder.note_git_waits()
        if self._is_due("slots", SLOTS_SECONDS):
            self.recorder.set_slots()

    def _is_due(self, what: str, seconds: float) -> bool:
        now = time.monotonic()
        if now < self._due.get(what, 0.0):
            return False
        self._due[what] = now + seconds
        return True
