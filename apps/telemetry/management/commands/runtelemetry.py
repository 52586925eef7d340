import logging
import os
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from apps.lib.filelock import FileLock, HeldElsewhere
from apps.lib.loops import StopSignal
from apps.lib.redis import connection
from apps.telemetry.service import run

log = logging.getLogger(__name__)
STANDBY_SECONDS = 0.5


class Command(BaseCommand):
    help = "Turns the samples that agents send into live figures and history. Ends cleanly on SIGTERM."
    requires_system_checks = ()  # they load every page and route, 15 MB that this process never uses

    def handle(self, *args: Any, **options: Any) -> None:
        stop = StopSignal().event
        tick_seconds = settings.TELEMETRY_TICK_SECONDS
        if is_our_turn(FileLock(settings.SWARMYARD_HOME / "telemetry.lock"), stop):
            run(connection(), tick_seconds=tick_seconds, stop=stop)


def is_our_turn(lock: FileLock, stop: threading.Event) -> bool:
    """Waits while another telemetry process of this home is at work; false when it is to end before that.

    For economy alone: two at work would each do all of it, and each commit of one send the other back to its start.
    That nothing is counted twice is up to the checkpoint, also between homes."""
    told = False
    while not stop.is_set():
        try:
            lock.take(f"runtelemetry, process {os.getpid()}")
        except HeldElsewhere as error:
            if not told:
                log.info("standing by, as another telemetry process is at work (%s)", error.note)
                told = True
            stop.wait(STANDBY_SECONDS)
        else:
            return True
    return False
