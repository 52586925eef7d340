from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from apps.access.actions import make_sign_in_link


class Command(BaseCommand):
    help = "Print a link that signs somebody in to the console, once, within 15 minutes."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", default="admin", help="a new user gets the role admin (%(default)s)")
        parser.add_argument("--address", default="http://127.0.0.1:8000", help="of the console (%(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        token = make_sign_in_link(username=options["user"], now=timezone.now())
        self.stdout.write(f"{options['address'].rstrip('/')}/sign-in/link/{token}")
