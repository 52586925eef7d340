"""The telemetry process: drains the sample stream, publishes snapshots, writes rollups."""

import logging
import threading
import time

import redis
from django.db import DatabaseError, InterfaceError, close_old_connections

from apps.lib import hints
from apps.lib.redis import RedisUnavailable
from apps.telemetry import actions, measure_rows
from apps.telemetry.actions import Mark
from apps.telemetry.agent_charts import Desk
from apps.telemetry.domain.live import Live
from apps.telemetry.domain.measured import LiveMeasures, PendingMeasures
from apps.telemetry.domain.pending import EntryId, Pending
from apps.telemetry.domain.series import TEN, floor_to
from apps.telemetry.domain.window import WINDOWS
from apps.telemetry.exceptions import CheckpointMoved, ClockWentBack
from apps.telemetry.ingest import STREAM
from apps.telemetry.pace import CALM, FOLLOWING_SECONDS, LOOK_SECONDS, QUICK, pace
from apps.telemetry.rebuild import START, began_anew, restored
from apps.telemetry.retention import Retention
from apps.telemetry.snapshot import counts_key, encode, key
from apps.telemetry.stream import BACK_SECONDS, ENTRIES_AT_ONCE, Entry, Stream, format_id, parse_id

log = logging.getLogger(__name__)

SETTLING_SECONDS = 0.3  # from the end of a second until what ended in it has been reported, mostly
TAKES_A_TICK = 10  # far behind, buckets are written in between, so that they don't pile up
RETENTION_SECONDS = 60
BACKOFF_SECONDS = (0.2, 5.0)
PASSING = (redis.RedisError, RedisUnavailable, DatabaseError, InterfaceError, CheckpointMoved, ClockWentBack)
BEHIND = (
    "Redis' clock was put back: it is %.0f s behind the newest entry of its sample stream. Until it has caught up, "
    "samples count when they ended or are read, and all else when it is read"
)


class Telemetry:
    """The state of the process. All of it can be had again from the rows and the stream: `start` does so."""

    def __init__(self, client: redis.Redis, *, tick_seconds: float) -> None:
        self.stream = Stream(client)
        self.desk = Desk(client)
        self.retention = Retention(client)
        self.tick_seconds = tick_seconds
        self.live = Live()
        self.pending = Pending()
        self.measured = LiveMeasures()
        self.unwritten = PendingMeasures()
        self.mark = Mark()
        self.counted: EntryId = START
        self.until = 0.0  # all that was acknowledged before then is in the rows
        self._replayed = False
        self._published: dict[int, int] = {}  # by window: the interval whose snapshot was published
        self._has_news = False  # beyond the counts that were published
        self._retained_at = 0.0
        self.pace = tick_seconds  # seconds between two ticks
        self._look_again_at = 0.0
        self._is_calm = False
        self._calm_until = 0.0
        self._shown = 0.0  # until when what was published reaches
        self.entries_per_s = 0.0  # that came of late
        self._taken_at = time.monotonic()

    def start(self) -> None:
        """Takes up where the checkpoint is."""
        self.mark = actions.current_mark(stream=STREAM)
        self.counted = parse_id(self.mark.last_id)
        now, ends = self.stream.now(), self.stream.first_and_last()
        if began_anew(now=now, counted=self.counted, ends=ends):
            log.error("Redis began anew and its clock was put back: reading its whole sample stream")
            self.counted = START
        elif ends is not None and ends[1][0] / 1000 > now + BACK_SECONDS:
            log.error(BEHIND, ends[1][0] / 1000 - now)
        # Within ten seconds that are over: what came before this is written first, so that `until` stays true.
        recently = now - TEN
        self.until = self.mark.until if self.mark.until <= now else recently
        self.stream.begin(self.counted, earliest=recently)
        self.retention.begin(until=self.until or now)
        self._forget(now)

    def _forget(self, now: float) -> None:
        """All but what is counted."""
        self.desk = Desk(self.stream.client)
        self.live = restored(now=now)
        self.pending = Pending()
        self.measured = measure_rows.restored(now=now)
        self.unwritten = PendingMeasures()
        self._replayed = False
        self._published = {}
        self._shown = 0.0
        self._retained_at = 0.0

    def pause(self) -> float:
        """Seconds until the next tick: longer while nobody looks."""
        now = time.monotonic()
        if now >= self._look_again_at:
            self._look_again_at = now + LOOK_SECONDS
            asked = pace()
            self.pace = max(self.tick_seconds, asked)
            self._is_calm = asked == CALM
            if self._is_calm:
                self._calm_until = now + FOLLOWING_SECONDS
        return self.pace

    def tick(self) -> None:
        """Takes all that is there, publishes what is due, and writes the buckets that are over."""
        now, caught_up = self.catch_up()
        self.live.advance(now)
        # While agents keep samples back for longer, figures end earlier, so that no second is shown by half.
        lag = CALM - QUICK if time.monotonic() < self._calm_until else 0.0
        self._shown = max(self._shown, now - lag)
        self._flush(before=now, until=float(floor_to(now, TEN)))
        # Replaying after a start shows the past; falling behind later shows how far by the snapshot's time.
        self._replayed = self._replayed or caught_up
        if self._replayed:
            self._publish(self._shown)
        if now - self._retained_at >= RETENTION_SECONDS:
            self._retained_at = now
            self.retention.delete_old(now)

    def finish(self) -> None:
        """Writes everything that was acknowledged, the open bucket too."""
        now, caught_up = self.catch_up()
        self._flush(before=now + TEN, until=now if caught_up else float(floor_to(now, TEN)))

    def catch_up(self) -> tuple[float, bool]:
        """The time up to which everything was taken, by Redis' clock, and whether that is now."""
        taken, since, caught_up = self.stream.taken, self._taken_at, False
        self._taken_at = time.monotonic()
        for _ in range(TAKES_A_TICK):
            now, entries, caught_up = self.stream.take()
            self._feed(entries)
            if caught_up:
                break
        self.entries_per_s = (self.stream.taken - taken) / max(0.01, self._taken_at - since)
        return (now, True) if caught_up else (self.stream.at, False)

    def _feed(self, entries: list[Entry]) -> None:
        for entry in entries:
            self._has_news = self._has_news or bool(entry.parts)
            if entry.readings:
                self.live.read(at=entry.at, readings=entry.readings)
                self.pending.read(entry.id, entry.readings, entry.at)
            else:
                self.live.add(at=entry.at, agent=entry.agent, labels=entry.labels, parts=entry.parts)
                self.pending.add(
                    entry.id, agent=entry.agent, labels=entry.labels, parts=entry.parts, at=entry.at
                )
            if entry.measures:
                self.measured.add(entry.at, entry.agent, entry.measures)
                self.unwritten.add(entry.at, entry.agent, entry.measures)

    def _flush(self, *, before: float, until: float) -> None:
        """Writes the slots that end by then. What arrived before `until` is then written."""
        while self.live.gauged:
            self.pending.gauge(*self.live.gauged.popitem())
        slots = self.pending.closed(before)
        self.until = max(until, self.until)
        if not slots and self.until == self.mark.until:
            return
        last_id = slots[-1].last_id if slots else self.counted
        after = Mark(format_id(last_id), self.until)
        measured = self.unwritten.closed(before)
        actions.record(stream=STREAM, slots=slots, before=self.mark, after=after, measured=measured)
        self.pending.drop(slots)
        self.unwritten.drop(before)
        self.mark, self.counted = after, last_id
        self.stream.trim(counted=last_id)

    def _publish(self, now: float) -> None:
        due = self._due(now)
        # Before the snapshots, so that one hint tells readers of both.
        answered = self.desk.answer(self.live, now, due)
        found: dict[str, bytes] = {}
        for seconds in due:
            snapshot = self.live.snapshot(seconds, now, tick=int(now / self.tick_seconds))
            self.live.count_on(snapshot)
            self.measured.show(snapshot)
            found[key(seconds)] = encode(snapshot)
        if due or self._has_news:
            found |= {counts_key(seconds): encode(self.live.counts(seconds, now)) for seconds in WINDOWS}
        with self.stream.client.pipeline(transaction=False) as pipeline:
            if found:
                pipeline.mset(found)  # at once: a snapshot without its counts would be a step back
            for seconds in sorted(due | answered):
                hints.send(pipeline, "telemetry", seconds)
            if self._has_news:
                hints.send(pipeline, "counts", 0)
            pipeline.execute()
        self._has_news = False

    def _due(self, now: float) -> set[int]:
        """Windows whose interval is over. Not before its last second has settled, as agents report a few times a
        second: else throughput always lacked a part of it."""
        intervals = {
            window.seconds: floor_to(now - SETTLING_SECONDS, window.seldom if self._is_calm else window.every)
            for window in WINDOWS.values()
        }
        due = {seconds for seconds, interval in intervals.items() if self._published.get(seconds) != interval}
        self._published = intervals
        return due


def run(client: redis.Redis, *, tick_seconds: float, stop: threading.Event) -> None:
    """Runs until `stop`. Redis or the database away: waits, then goes on from the checkpoint."""
    telemetry = Telemetry(client, tick_seconds=tick_seconds)
    backoff = BACKOFF_SECONDS[0]
    while not stop.is_set():
        try:
            telemetry.start()
            log.info("telemetry reads the sample stream from %s", telemetry.mark.last_id)
            backoff = BACKOFF_SECONDS[0]
            _loop(telemetry, stop)
        except PASSING as error:
            log.warning("telemetry waits %.1f s and starts again from its checkpoint: %s", backoff, error)
            stop.wait(backoff)
            backoff = min(2 * backoff, BACKOFF_SECONDS[1])
            close_old_connections()


def _loop(telemetry: Telemetry, stop: threading.Event) -> None:
    due = time.monotonic()
    while not stop.wait(portion(due - time.monotonic(), telemetry.entries_per_s)):
        if time.monotonic() < due:
            telemetry.catch_up()
            continue
        telemetry.tick()
        due = max(due + telemetry.pause(), time.monotonic())
    telemetry.finish()


def portion(left: float, entries_per_s: float) -> float:
    """How long to wait for the next read, when it is `left` seconds to the next tick: about as long as one read takes
    to fill. What is taken at once keeps a core busy, for which acknowledgements would have to wait."""
    reads = max(1, round(left * entries_per_s / ENTRIES_AT_ONCE))
    return max(0.0, left / reads)
