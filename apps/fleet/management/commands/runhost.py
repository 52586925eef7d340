import logging
import os
import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, InterfaceError, close_old_connections
from django.utils import timezone
from django.utils.module_loading import import_string

from apps.events.hints import HintListener
from apps.fleet.actions.observe import register_host
from apps.fleet.exceptions import HostTaken
from apps.fleet.places import home_id
from apps.fleet.supervisor import Supervisor
from apps.lib import procfs
from apps.lib.filelock import FileLock, HeldElsewhere
from apps.lib.loops import StopSignal

log = logging.getLogger(__name__)
QUICK_LOOK = 0.02  # seconds between looks while something starts or ends; longer where a look takes long
SLOWER_LOOK = 0.05


class Command(BaseCommand):
    help = "Start, watch and end the agents of this host. One process a host; agents outlive it."
    requires_system_checks = ()  # they load every page and route, 15 MB that this process never uses

    def handle(self, *args: Any, **options: Any) -> None:
        lock = FileLock(settings.SWARMYARD_HOME / f"host-{settings.HOST_NAME}.lock")
        try:
            lock.take(f"runhost, process {os.getpid()}")
        except HeldElsewhere as error:
            raise CommandError(
                f"A runhost for “{settings.HOST_NAME}” is running already ({error.note})."
            ) from None
        stop = StopSignal()
        try:
            host = register_host(
                name=settings.HOST_NAME,
                pid=os.getpid(),
                boot_id=procfs.boot_id(),
                home_id=home_id(),
                now=timezone.now(),
            )
        except HostTaken as error:
            raise CommandError(str(error)) from error
        for part in settings.HOST_PARTS:
            import_string(part)(host, stop.event)
        supervisor = Supervisor(host, boot_id=procfs.boot_id(), now=timezone.now)
        hints = HintListener({"host"})
        while not stop.is_set:
            begun = time.monotonic()
            is_moving = round_of(supervisor)
            quick = min(max(QUICK_LOOK, time.monotonic() - begun), SLOWER_LOOK)
            hints.wait(quick if is_moving else settings.HOST_TICK_SECONDS)


def round_of(supervisor: Supervisor) -> bool:
    """One round. A database that is away or busy is no reason to end: the agents run on meanwhile."""
    try:
        return supervisor.tick()
    except (DatabaseError, InterfaceError):  # a connection that was dropped
        log.exception("the database refused; looking again in a moment")
        close_old_connections()
        supervisor.doubt()
        return False
