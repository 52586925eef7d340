"""The live push: each region is rendered once for all who show it, and each viewer is sent what changed for them.

A viewer acknowledges every frame. Who hasn't is sent nothing more (a slow browser gets the newest state later instead
of a growing queue), and is dropped after a while. A tick renders what a hint concerns, and as hints may be lost, every
region is rendered again each few ticks anyhow. Where only counts came, the rows of the database aren't read again.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Hashable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connections

from apps.console.catalogue import REGIONS
from apps.console.moment import READ_SECONDS, Moment
from apps.console.regions import COUNTS, Fragment, View
from apps.events.hints import Hint, hint_batches
from apps.telemetry.pace import LOOK_SECONDS, say_watched

log = logging.getLogger(__name__)

REFRESH_TICKS = 4  # after so many each view is rendered again, whatever was hinted
# Of a tick, between two pushes at least. Less than a whole one, or a push that was late once would stay late.
LEAST_PAUSE = 0.8
# Figures come once a second and announce themselves: the timer lets them go first, else each second had one push more.
HINT_GRACE = 1.15
TOGETHER = 0.6  # of the time after which a view is rendered again: then it is, where others are
DROP_AFTER = 30.0  # seconds without an acknowledgement
MAX_VIEWS = 200  # distinct views rendered for all viewers together
TOPICS = frozenset[str]().union(*(region.topics for region in REGIONS.values()))

Send = Callable[[str], Awaitable[None]]
Close = Callable[[int], Awaitable[None]]

TRY_AGAIN = (
    3013  # an application may close with 1000 and 3000 to 4999; Daphne sends no other code, and so no close
)


@dataclass(eq=False)
class Viewer:
    """One open page: what it shows, what it was sent last, and whether it acknowledged that."""

    send: Send
    close: Close
    views: tuple[View, ...] = ()
    sent: dict[View, Fragment] = field(default_factory=dict)
    frame: int = 0
    waiting_since: float | None = None
    paused: bool = False

    def acknowledge(self, frame: int) -> None:
        if frame == self.frame:
            self.waiting_since = None

    @property
    def is_ready(self) -> bool:
        return self.waiting_since is None and not self.paused and bool(self.views)

    @property
    def state(self) -> Hashable:
        """Viewers with the same one are sent the same."""
        return self.views, tuple(self.sent.get(view) for view in self.views)

    def changes(self, fragments: dict[View, Fragment]) -> list[str]:
        """Elements to send."""
        elements: list[str] = []
        for view in self.views:
            fragment = fragments.get(view)
            if fragment is not None:
                elements += fragment.changes_since(self.sent.get(view))
        return elements

    def has_been_sent(self, fragments: dict[View, Fragment], frame: int) -> None:
        self.sent.update((view, fragments[view]) for view in self.views if view in fragments)
        self.frame, self.waiting_since = frame, time.monotonic()


@dataclass(frozen=True, slots=True)
class Tick:
    """One turn of the pusher. `at`: when it began, unix seconds. `frame` names what it sends, and can't be guessed: who
    acknowledges it has read it, and nobody makes us send on and on to a socket that isn't read."""

    number: int
    at: float
    frame: int = field(default_factory=lambda: secrets.randbits(48))


class Pusher:
    """Renders and sends for all viewers of this process. Runs from the first viewer to the last."""

    def __init__(self) -> None:
        self.viewers: set[Viewer] = set()
        self.fragments: dict[View, Fragment] = {}
        self.rendered_at: dict[View, float] = {}
        self.stale: set[View] = set()
        self.counting: set[View] = set()  # views that have new counts, and maybe nothing else
        self.moment: Moment | None = None
        self.ticks = 0
        self.cpu_seconds = 0.0  # spent on rendering and sending since the start
        self._said_watched_at = 0.0
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        # One thread, so one database connection, whatever the number of viewers.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="push")

    def join(self, viewer: Viewer) -> None:
        self.viewers.add(viewer)
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._listen())]

    def leave(self, viewer: Viewer) -> None:
        self.viewers.discard(viewer)
        if not self.viewers:
            for task in self._tasks:
                task.cancel()
            self._tasks = []
            self.fragments.clear()
            self.rendered_at.clear()
            self.moment = None
            self._thread.submit(connections.close_all)

    def show(self, viewer: Viewer, views: Iterable[View]) -> bool:
        """What `viewer` wants to see from now on. False: too many different views are open, let the page poll."""
        wanted = tuple(dict.fromkeys(views))
        others = {view for other in self.viewers if other is not viewer for view in other.views}
        if len(others | set(wanted)) > MAX_VIEWS:
            return False
        viewer.views, viewer.sent, viewer.waiting_since = wanted, {}, None
        self.stale.update(wanted)
        self._wake.set()
        return True

    def resume(self, viewer: Viewer) -> None:
        viewer.paused = False
        self._wake.set()

    def take_hints(self, hints: Iterable[Hint]) -> None:
        """Marks what the hints concern; an empty batch means that some may have been missed, so everything."""
        hints = list(hints)
        for view in self._views():
            region = REGIONS[view.region]
            topics = {hint.topic for hint in hints if region.is_stale_by(hint.topic, hint.pk, view)}
            if topics == {COUNTS}:
                self.counting.add(view)
            elif topics or not hints:
                self.stale.add(view)
        if self.stale or self.counting:
            self._wake.set()

    async def turn(self) -> None:
        """Renders what is due and sends each ready viewer what changed."""
        self.ticks += 1
        tick = Tick(self.ticks, time.time())
        ready = [viewer for viewer in self.viewers if viewer.is_ready]
        self._say_watched(bool(ready))
        shown = {view for viewer in ready for view in viewer.views}
        due, counting = self._due(shown), self.counting & shown
        self.stale -= due
        self.counting -= due | counting
        if due or counting:
            self.fragments |= await self._render(due | counting, self._moment(anew=bool(due)))
            self.rendered_at |= dict.fromkeys(due, time.monotonic())
        started = time.thread_time()
        frames: dict[Hashable, str] = {}
        for viewer in ready:
            await self._send(viewer, tick, frames)
        await self._drop_silent()
        self._forget()
        self.cpu_seconds += time.thread_time() - started

    def _say_watched(self, somebody_looks: bool) -> None:
        """Figures come quickly while somebody says this."""
        if somebody_looks and time.monotonic() - self._said_watched_at >= LOOK_SECONDS:
            self._said_watched_at = time.monotonic()
            self._thread.submit(say_watched, READ_SECONDS)

    async def _run(self) -> None:
        while True:
            started = time.monotonic()
            try:
                await self.turn()
            except Exception:
                log.exception("a push failed; the next one comes at the next tick")
            await self._pause(started)

    async def _pause(self, started: float) -> None:
        """Until a hint, or until everything is due; not shorter than a tick, more or less."""
        pause = settings.PUSH_TICK_SECONDS * LEAST_PAUSE
        await asyncio.sleep(max(0.0, started + pause - time.monotonic()))
        try:
            left = started + refresh_seconds() * HINT_GRACE - time.monotonic()
            await asyncio.wait_for(self._wake.wait(), max(0.0, left))
        except TimeoutError:
            pass
        self._wake.clear()

    async def _listen(self) -> None:
        async for hints in hint_batches(TOPICS):
            self.take_hints(hints)

    def _views(self) -> set[View]:
        return {view for viewer in self.viewers for view in viewer.views}

    def _due(self, views: set[View]) -> set[View]:
        # A little early counts: a view that a hint refreshed just now waits for its own next time. Where rows are read
        # anyhow, it counts the more, so that what has its turn by time has it together with what is hinted.
        share = TOGETHER if self.stale & views else 0.9
        oldest = time.monotonic() - refresh_seconds() * share
        return {view for view in views if view in self.stale or self.rendered_at.get(view, 0.0) <= oldest}

    def _moment(self, *, anew: bool) -> Moment:
        """What to render from: rows that are read anew, or those of the last time with new figures."""
        now = datetime.now(UTC)
        self.moment = Moment(now) if anew or self.moment is None else self.moment.with_new_figures(now)
        return self.moment

    async def _render(self, views: set[View], moment: Moment) -> dict[View, Fragment]:
        in_thread = sync_to_async(render, thread_sensitive=False, executor=self._thread)
        fragments, seconds = await in_thread(views, moment)
        self.cpu_seconds += seconds
        return fragments

    async def _send(self, viewer: Viewer, tick: Tick, frames: dict[Hashable, str]) -> None:
        """`frames`: those of this tick by the state they start from, so that each is put together once."""
        if viewer not in self.viewers or not viewer.is_ready:
            return
        state = viewer.state
        if state not in frames:
            frames[state] = frame_html(tick, viewer.changes(self.fragments))
        viewer.has_been_sent(self.fragments, tick.frame)
        try:
            await viewer.send(frames[state])
        except Exception as error:
            log.debug("a viewer went away while it was sent to: %s", error)

    async def _drop_silent(self) -> None:
        limit = time.monotonic() - DROP_AFTER
        for viewer in [viewer for viewer in self.viewers if (viewer.waiting_since or limit) < limit]:
            await viewer.close(TRY_AGAIN)
            self.leave(viewer)

    def _forget(self) -> None:
        shown = self._views()
        for view in self.fragments.keys() - shown:
            del self.fragments[view]
            self.rendered_at.pop(view, None)
        self.stale &= shown
        self.counting &= shown


def refresh_seconds() -> float:
    return settings.PUSH_TICK_SECONDS * REFRESH_TICKS


def render(views: Iterable[View], moment: Moment) -> tuple[dict[View, Fragment], float]:
    """Fragments by view, and the CPU seconds they took. One region's failure leaves the others alone."""
    started = time.thread_time()
    fragments = {}
    for view in sorted(views, key=lambda view: view.address):
        try:
            fragments[view] = REGIONS[view.region].render(view, moment)
        except Exception:
            log.exception("region %s could not be rendered", view.address)
            connections.close_all()  # it may be the connection that is broken
    return fragments, time.thread_time() - started


def frame_html(tick: Tick, elements: list[str]) -> str:
    """A frame: its pulse, then the elements that take the place of those with the same ids. Rows are wrapped, as
    a browser drops a row outside of a table."""
    rows = [html for html in elements if html.startswith("<tr")]
    others = [html for html in elements if not html.startswith("<tr")]
    wrapped = ["<table data-rows><tbody>", *rows, "</tbody></table>"] if rows else []
    return "".join([pulse(tick), *others, *wrapped])


def pulse(tick: Tick) -> str:
    """The element that tells a page which frame this is, to be acknowledged, and how old its tick is."""
    return (
        f'<i id="pulse" hidden data-frame="{tick.frame}" data-tick="{tick.number}"'
        f' data-tick-at="{tick.at:.3f}" data-sent-at="{time.time():.3f}"></i>'
    )
