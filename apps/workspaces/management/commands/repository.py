from argparse import ArgumentParser
from typing import Any

from django.utils import timezone

from apps.access.exceptions import NotAllowed
from apps.access.roles import shell_actor
from apps.lib.cli import OperatorCommand, table
from apps.workspaces.actions import add_repository
from apps.workspaces.exceptions import RepositoryRefused
from apps.workspaces.models import Repository
from apps.workspaces.serial import repository_data


class Command(OperatorCommand):
    help = "Register repositories for agents to work on."
    refusals = (RepositoryRefused, NotAllowed)

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(required=True, metavar="SUBCOMMAND")
        add = self.subcommand(commands, "add", "Register a repository by its path or by a URL to clone.")
        add.add_argument("path_or_url", metavar="PATH|URL")
        add.add_argument("--name", help="short name (the last part of the path)")
        add.add_argument("--target", metavar="BRANCH", help="landing target (the branch that is checked out)")
        self.subcommand(commands, "list", "List repositories.")

    def do_add(self, **options: Any) -> tuple[Any, str]:
        repository = add_repository(
            path_or_url=options["path_or_url"],
            name=options["name"],
            target=options["target"],
            actor=shell_actor(),
            now=timezone.now(),
        )
        return repository_data(
            repository
        ), f"{repository.name}: {repository.path}, target {repository.target or 'its default branch'}."

    def do_list(self, **options: Any) -> tuple[Any, str]:
        rows = list(Repository.objects.order_by("name"))
        if not rows:
            return [], "No repository is registered: `repository add PATH|URL` adds one."
        lines = [(row.name, row.state, row.target, row.shown_url or row.path) for row in rows]
        return [repository_data(row) for row in rows], table(("NAME", "STATE", "TARGET", "WHERE"), lines)
