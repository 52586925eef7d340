import os
import socket
import time
import urllib.error
import urllib.request
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.utils import timezone

from apps.access.actions import make_sign_in_link
from apps.fleet.models import Agent
from apps.lib.filelock import FileLock, HeldElsewhere
from apps.lib.loops import StopSignal
from apps.lib.redis import RedisUnavailable, ping
from controlplane.address import note_address
from controlplane.doors import bind_problem
from controlplane.procfile import commands
from controlplane.redis_server import NoRedis, server_argv
from controlplane.supervision import Supervision

READY_SECONDS = 60.0
# glibc gives each thread a heap of its own, of which little is used here.
FRUGAL = {"MALLOC_ARENA_MAX": "2"}
WATCH_SECONDS = 0.25
Door = tuple[str, int]  # address and port


class Command(BaseCommand):
    help = "Start the whole yard on this machine, and keep it running until Ctrl-C."
    requires_system_checks = ()  # they load every page and route, 15 MB that this process never uses

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--bind", default=settings.SWARMYARD_BIND, help="address to listen on (%(default)s)"
        )
        parser.add_argument(
            "--gateway-bind",
            default=settings.SWARMYARD_GATEWAY_BIND,
            help="address of the agents' door (%(default)s)",
        )
        parser.add_argument("--port", type=int, default=8000, help="port of the console (%(default)s)")
        parser.add_argument("--gateway-port", type=int, help="port of the agents' door (the console's + 1)")
        parser.add_argument("--user", default="admin", help="whom the sign-in link signs in (%(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        bind, port = options["bind"], options["port"]
        gateway_port = options["gateway_port"] or port + 1
        lock = FileLock(settings.SWARMYARD_HOME / "up.lock")
        try:
            lock.take(f"process {os.getpid()}, http://{bind}:{port}")
        except HeldElsewhere as error:
            raise CommandError(f"A yard is up already on {settings.SWARMYARD_HOME} ({error.note}).") from None
        gateway = options["gateway_bind"], gateway_port
        self.refuse_early((bind, port), gateway)
        stop = StopSignal()
        migrate()
        supervision = self.supervision((bind, port), gateway)
        try:
            self.run(supervision, stop, bind, port, options["user"])
        finally:
            supervision.stop_all(last="redis")
            lock.release()
            self.say_goodbye()

    def refuse_early(self, *doors: Door) -> None:
        for bind, number in doors:
            if problem := bind_problem(bind):
                raise CommandError(problem)
            if not 1 <= number <= 65_535:
                raise CommandError(f"{number} is not a port: give 1 to 65535.")
            if is_taken(bind, number):
                raise CommandError(
                    f"Port {number} on {bind} is in use: choose another with --port or --gateway-port."
                )
        try:
            if settings.REDIS_IS_EMBEDDED:
                server_argv(settings.SWARMYARD_HOME)
            else:
                ping()
        except (NoRedis, RedisUnavailable) as error:
            raise CommandError(str(error)) from error

    def supervision(self, console: Door, gateway: Door) -> Supervision:
        (bind, port), (gateway_bind, gateway_port) = console, gateway
        values = {
            "SWARMYARD_HOME": str(settings.SWARMYARD_HOME),
            "SWARMYARD_BIND": bind,
            "SWARMYARD_PORT": str(port),
            "SWARMYARD_GATEWAY_BIND": gateway_bind,
            "SWARMYARD_GATEWAY_PORT": str(gateway_port),
            "SWARMYARD_GATEWAY_URL": settings.GATEWAY_URL_SET
            or f"ws://{reachable(gateway_bind)}:{gateway_port}/ws/v1/agents/",
            "SWARMYARD_HOST_NAME": settings.HOST_NAME,
        }
        found = commands(settings.BASE_DIR / "Procfile", values)
        if not settings.REDIS_IS_EMBEDDED:
            found.pop("redis")
        return Supervision(
            found,
            environment={**FRUGAL, **os.environ, **values, "DJANGO_SETTINGS_MODULE": "controlplane.settings"},
            directory=settings.BASE_DIR,
            logs=settings.SWARMYARD_HOME / "logs",
            say=self.say,
        )

    def run(self, supervision: Supervision, stop: StopSignal, bind: str, port: int, user: str) -> None:
        if settings.REDIS_IS_EMBEDDED:
            supervision.start("redis")
            wait_for_redis(supervision, stop)
        supervision.start_all()
        address = f"http://{reachable(bind)}:{port}"
        if self.wait_until_ready(supervision, stop, address):
            note_address(address)
            token = make_sign_in_link(username=user, now=timezone.now())
            self.say(f"Swarmyard is up: {address} - sign in once with {address}/sign-in/link/{token}")
            self.after_ready(address)
        while not stop.is_set:
            supervision.watch()
            stop.event.wait(WATCH_SECONDS)

    def after_ready(self, address: str) -> None:
        """For commands that start the yard and then something in it."""

    def wait_until_ready(self, supervision: Supervision, stop: StopSignal, address: str) -> bool:
        deadline = time.monotonic() + READY_SECONDS
        while not stop.is_set and time.monotonic() < deadline:
            supervision.watch()
            if answers(f"{address}/healthz/ready"):
                return True
            stop.event.wait(0.1)
        if not stop.is_set:
            raise CommandError(
                f"The console didn't answer in {READY_SECONDS:.0f} s: see {settings.SWARMYARD_HOME}/logs."
            )
        return False

    def say_goodbye(self) -> None:
        left = Agent.objects.live().count()
        word = "agent keeps" if left == 1 else "agents keep"
        self.say(
            f"Stopped. {left} {word} running; the next `manage.py up` takes them over."
            if left
            else "Stopped."
        )

    def say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def migrate() -> None:
    try:
        call_command("migrate", verbosity=0, interactive=False)
    except DatabaseError as error:
        raise CommandError(f"The database can't be used: {error} Check DATABASE_URL.") from error


def reachable(bind: str) -> str:
    """The address under which this machine reaches what listens on `bind`."""
    if bind in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return f"[{bind}]" if ":" in bind else bind


def is_taken(bind: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bind, port))
        except OSError:
            return True
    return False


def wait_for_redis(supervision: Supervision, stop: StopSignal) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not stop.is_set:
        try:
            ping()
        except RedisUnavailable as error:
            if time.monotonic() > deadline or not supervision.is_alive("redis"):
                log = settings.SWARMYARD_HOME / "logs" / "redis.log"
                raise CommandError(f"Redis didn't start: see {log}.") from error
            stop.event.wait(0.05)
        else:
            return


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own address
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
