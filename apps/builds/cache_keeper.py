"""The part of the host process that keeps the compiler cache: it runs, and what it says of itself is written down."""

import logging
import threading
import time
from contextlib import suppress

from django.db import DatabaseError, InterfaceError, close_old_connections
from django.utils import timezone

from apps.builds import rustc_wrapper, sccache
from apps.builds.cache_actions import record_cache
from apps.fleet.models import Host
from apps.lib.process import ProgramMissing, reap_detached

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0  # between two looks whether its server lives
AGAIN_SECONDS = 60.0  # after it couldn't be had
FIGURES_SECONDS = 30.0


class CacheKeeper:
    def __init__(self, host: Host) -> None:
        self.host = host
        self.program: sccache.Program | None = None
        self._own = rustc_wrapper.OwnFigures()
        self._problem: str | None = None
        self._look_at = 0.0
        self._figures_at = 0.0

    def look(self) -> None:
        """Starts it when it must be, and asks for figures now and then."""
        now = time.monotonic()
        reap_detached()
        if now >= self._look_at and not self.is_well():
            self.begin()
        if now >= self._figures_at:
            self.tell()

    def is_well(self) -> bool:
        if self.program is None or sccache.running() is None:
            return False
        try:
            sccache.require_storage()
        except sccache.CacheRefused:
            return False
        return True

    def begin(self) -> None:
        try:
            self.program, problem = rustc_wrapper.ensure(), ""
        except sccache.CacheBusy:
            return
        except (sccache.CacheRefused, ProgramMissing, OSError) as error:
            self.program, problem = None, str(error)
            self._look_at = time.monotonic() + AGAIN_SECONDS
        if problem != self._problem:
            self._problem = problem
            self._figures_at = 0.0
            if problem:
                log.info("no compiler cache: %s", problem)

    def tell(self) -> None:
        figures = sccache.figures(self.program) if self.program else None
        if self.program and figures:
            self._own.look(self.program)
            figures = self._own.added_to(figures)
        record_cache(
            host=self.host,
            problem=self._problem or "",
            program=self.program,
            figures=figures,
            now=timezone.now(),
        )
        self._figures_at = time.monotonic() + FIGURES_SECONDS


def start(host: Host, stop: threading.Event) -> None:
    threading.Thread(target=keep, args=(CacheKeeper(host), stop), name="compiler cache", daemon=True).start()


def keep(keeper: CacheKeeper, stop: threading.Event) -> None:
    while True:
        try:
            keeper.look()
        except (DatabaseError, InterfaceError, OSError) as error:
            log.warning("the compiler cache is looked at later: %s", error)
            with suppress(Exception):
                close_old_connections()
        if stop.wait(LOOK_SECONDS):
            return
