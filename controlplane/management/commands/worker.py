import gc
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils.module_loading import autodiscover_modules
from rq import Worker
from rq.serializers import JSONSerializer

from apps.lib.queues import queue

# Seconds until a worker that was killed counts as dead. RQ's own default of 7 minutes shows ghosts for that long.
WORKER_TTL = 60


class Command(BaseCommand):
    help = "Run coordination jobs of the given queues, in that order of priority."
    requires_system_checks = ()  # they load every page and route, 15 MB that this process never uses

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("queues", nargs="+", metavar="QUEUE", help="control, io, cpu, host.<name>")

    def handle(self, *args: Any, **options: Any) -> None:
        # django-rq's own rqworker command can't be told the serializer; RQ's default is pickle.
        queues = [queue(name) for name in options["queues"]]
        worker = Worker(
            queues,
            connection=queues[0].connection,
            serializer=JSONSerializer,
            worker_ttl=WORKER_TTL,
            log_job_description=False,
        )
        # Each job is a fork of this process: what is imported here, no job has to import (110 ms each time).
        autodiscover_modules("jobs")
        gc.freeze()  # a collection in a fork would write to, and so copy, all that was made before it
        worker.work(logging_level="WARNING")
