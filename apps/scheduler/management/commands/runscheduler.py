import os
import socket
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from apps.capacity import leases
from apps.events.hints import HintListener
from apps.lib.loops import StopSignal
from apps.scheduler.loop import LEASE, tick

TICK_SECONDS = 1.0
TOPICS = {"agent", "wave"}
SETTLE_SECONDS = 0.03  # hints come in bursts: one look serves them all


class Command(BaseCommand):
    help = "Move waves on, and whatever else is due. Of several, one works and the others stand by."
    requires_system_checks = ()  # they load every page and route, 15 MB that this process never uses

    def handle(self, *args: Any, **options: Any) -> None:
        stop = StopSignal()
        holder = f"{socket.gethostname()}:{os.getpid()}"
        hints = HintListener(TOPICS)
        while not stop.is_set:
            tick(timezone.now(), holder=holder)
            if hints.wait(TICK_SECONDS):
                stop.event.wait(SETTLE_SECONDS)
        leases.release(name=LEASE, holder=holder)
