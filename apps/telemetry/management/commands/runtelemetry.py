from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from apps.lib.loops import StopSignal
from apps.lib.redis import connection
from apps.telemetry.service import run


class Command(BaseCommand):
    help = "Turns the samples that agents send into live figures and history. Ends cleanly on SIGTERM."
    requires_system_checks = ()  # they load every page and route, 15 MB that this process never uses

    def handle(self, *args: Any, **options: Any) -> None:
        stop = StopSignal().event
        tick_seconds = settings.TELEMETRY_TICK_SECONDS
        run(connection(read_timeout=5.0 + tick_seconds), tick_seconds=tick_seconds, stop=stop)
