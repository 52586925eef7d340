"""What the operators' commands share: subcommands, one JSON document on demand, exit codes.

Exit 0: done. 1: refused or failed. 2: wrong usage (argparse does that).
"""

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandError
from django.core.management.base import CommandParser as DjangoParser
from django.db import OperationalError, ProgrammingError


def whole_number(text: str) -> int:
    """For options that count something: argparse tells what is wrong with it."""
    if not text.isdecimal():
        raise ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return int(text)


class UsageParser(DjangoParser):
    """Wrong usage ends with 2 also where Django would have raised CommandError."""

    def error(self, message: str) -> Any:
        return ArgumentParser.error(self, message)


class OperatorCommand(BaseCommand):
    """A command with subcommands. Each is a method `do_<name>` that returns (data for --json, text for people)."""

    refusals: ClassVar[tuple[type[Exception], ...]] = ()
    requires_system_checks = ()

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> DjangoParser:
        parser = UsageParser(
            prog=f"{prog_name.rpartition('/')[2]} {subcommand}",
            description=self.help or None,
            called_from_command_line=True,
            **kwargs,
        )
        self.add_base_argument(parser, "--settings", help="The Python path to a settings module.")
        for option, default in (("--verbosity", 1), ("--pythonpath", None), ("--skip-checks", None)):
            parser.set_defaults(**{option.lstrip("-").replace("-", "_"): default})
        parser.set_defaults(traceback=False, no_color=True, force_color=False, settings=None)
        self.add_arguments(parser)
        return parser

    def subcommand(self, subparsers: Any, name: str, summary: str) -> ArgumentParser:
        parser: ArgumentParser = subparsers.add_parser(name, help=summary, description=summary)
        parser.add_argument("--json", action="store_true", help="print one JSON document")
        parser.set_defaults(method=getattr(self, f"do_{name}"))
        return parser

    def handle(self, *args: Any, method: Callable[..., tuple[Any, str]], **options: Any) -> None:
        as_json = options["json"]
        try:
            data, text = method(**options)
        except self.refusals as error:
            self.refuse(str(error), as_json)
        except (OperationalError, ProgrammingError) as error:
            self.refuse(f"The database can't be used ({error}): `manage.py migrate` sets it up.", as_json)
        if as_json:
            self.stdout.write(json.dumps(data, default=str))
        elif text:
            self.stdout.write(text)

    def refuse(self, message: str, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps({"error": message}))
            sys.exit(1)
        raise CommandError(message, returncode=1)


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns for people; numbers to the right."""
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(head, *texts, strict=True)]
    numeric = [bool(rows) and all(isinstance(row[i], int | float) for row in rows) for i in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        parts = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(cells, widths, numeric, strict=True)
        ]
        return "  ".join(parts).rstrip()

    return "\n".join([line(head), *(line(row) for row in texts)])
