from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.utils import timezone

from apps.access.actions import make_api_token, revoke_api_token
from apps.access.exceptions import NotAllowed
from apps.access.models import ApiToken
from apps.access.roles import shell_actor
from apps.events.domain.actor import Role
from apps.lib.cli import OperatorCommand, table

ROLES = {role.word: role for role in Role}


class NoSuch(Exception):
    """A user or token that isn't there."""


class Command(OperatorCommand):
    help = "API tokens of people. A token is shown once, when it is made."
    refusals = (NoSuch, NotAllowed)

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(required=True, metavar="SUBCOMMAND")
        make = self.subcommand(commands, "make", "Make a token.")
        make.add_argument("--user", default="admin", help="whose it is (%(default)s)")
        make.add_argument("--name", required=True, help="what it is for")
        make.add_argument("--role", choices=ROLES, default="viewer", help="the most it may do (%(default)s)")
        make.add_argument("--days", type=int, help="how long it is valid (for ever)")
        self.subcommand(commands, "list", "List tokens.")
        self.subcommand(commands, "revoke", "Revoke a token.").add_argument("token", type=int, metavar="ID")

    def do_make(self, **options: Any) -> tuple[Any, str]:
        user = get_user_model().objects.filter(username=options["user"]).first()
        if user is None:
            raise NoSuch(f"There is no user “{options['user']}”: `manage.py signin --user NAME` makes one.")
        expires = timezone.now() + timedelta(days=options["days"]) if options["days"] else None
        token = make_api_token(
            user=user,
            name=options["name"],
            role=ROLES[options["role"]],
            actor=shell_actor(),
            expires_at=expires,
        )
        return {"token": token}, token

    def do_list(self, **options: Any) -> tuple[Any, str]:
        rows = list(ApiToken.objects.select_related("user").order_by("pk"))
        now = timezone.now()
        data = [
            {
                "id": row.pk,
                "user": row.user.get_username(),
                "name": row.name,
                "role": Role(row.role).word,
                "valid": row.is_valid(now),
                "last_used_at": row.last_used_at,
            }
            for row in rows
        ]
        if not data:
            return [], "There is no API token: `apitoken make --name NAME` makes one."
        return data, table([name.upper() for name in data[0]], [list(row.values()) for row in data])

    def do_revoke(self, **options: Any) -> tuple[Any, str]:
        token = ApiToken.objects.filter(pk=options["token"]).first()
        if token is None:
            raise NoSuch(f"There is no token {options['token']}: `apitoken list` shows them.")
        revoke_api_token(token=token, actor=shell_actor(), now=timezone.now())
        return {"id": token.pk, "revoked": True}, f"Token “{token.name}” is revoked."
