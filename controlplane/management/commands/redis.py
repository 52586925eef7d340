import os
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from controlplane.redis_server import NoRedis, server_argv


class Command(BaseCommand):
    help = "Serve the embedded Redis of this home (becomes redis-server)."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.REDIS_IS_EMBEDDED:
            raise CommandError("REDIS_URL is set: that Redis is used, and none is started here.")
        try:
            argv = server_argv(settings.SWARMYARD_HOME)
        except NoRedis as error:
            raise CommandError(str(error)) from error
        os.execv(argv[0], argv)  # noqa: S606 - an argument list, and nothing of Python stays resident
