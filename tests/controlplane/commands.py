"""Operators' commands, run as `manage.py` runs them, but in this process and inside the test's transaction."""

import io
import json
from dataclasses import dataclass
from unittest.mock import patch

from django.core.management import CommandError, ManagementUtility


@dataclass
class Ran:
    code: int
    raw: bytes
    err: str

    @property
    def out(self):
        return self.raw.decode("utf-8", "replace")

    @property
    def document(self):
        """The one JSON document on stdout."""
        return json.loads(self.out)


def run(*argv):
    out, err = io.TextIOWrapper(io.BytesIO(), write_through=True), io.StringIO()
    code = 0
    with patch("sys.stdout", out), patch("sys.stderr", err):
        command = ManagementUtility(["manage.py", *argv]).fetch_command(argv[0])
        command.stdout._out, command.stderr._out = out, err
        try:
            options = vars(command.create_parser("manage.py", argv[0]).parse_args(argv[1:]))
            command.execute(*options.pop("args", ()), **options)
        except CommandError as error:
            code = error.returncode
            err.write(f"CommandError: {error}")
        except SystemExit as end:
            code = end.code
    return Ran(code, out.buffer.getvalue(), err.getvalue())
