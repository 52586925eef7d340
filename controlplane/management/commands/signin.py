from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from apps.access.actions import make_sign_in_link
from controlplane.address import last_address


class Command(BaseCommand):
    help = "Print a link that signs somebody in to the console, once, within 15 minutes."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", default="admin", help="a new user gets the role admin (%(default)s)")
        parser.add_argument("--address", default="", help="of the console (where `up` ran last on this home)")

    def handle(self, *args: Any, **options: Any) -> None:
        token = make_sign_in_link(username=options["user"], now=timezone.now())
        address = options["address"] or last_address()
        self.stdout.write(f"{address.rstrip('/')}/sign-in/link/{token}")
