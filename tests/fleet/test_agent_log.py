"""`agent log`: raw bytes for a file or a pipe, plain text for a terminal, everything on demand."""

import json
import os

import pytest
from django.core.management import ManagementUtility

from apps.fleet.logs import BLOCK
from apps.fleet.management.commands.agent import readable
from apps.fleet.places import run_dir
from tests.factories import make_agent

pytestmark = pytest.mark.django_db
HOSTILE = "\x1b]0;title\x07\x1b]52;c;ZXZpbA==\x07\x1b[31mred\x1b[0m é\n  indented\n".encode()


@pytest.fixture
def printed(settings, tmp_path):
    settings.SWARMYARD_HOME = tmp_path
    directory = run_dir(make_agent("w1/agent-01"))
    directory.mkdir(parents=True)
    (directory / "segment").write_text("10000000\n")
    (directory / "out.1").write_bytes(HOSTILE)
    return directory / "out.1"


def log(*options):
    argv = ["manage.py", "agent", "log", "w1/agent-01", *options]
    ManagementUtility(argv).fetch_command("agent").run_from_argv(argv)


@pytest.mark.parametrize("lines", ["50", "0"])
def test_a_terminal_gets_no_escape_sequence(printed, monkeypatch, lines):
    master, slave = os.openpty()
    with os.fdopen(slave, "w") as terminal:
        monkeypatch.setattr("sys.stdout", terminal)
        log("--lines", lines)
        shown = os.read(master, 4096)
    os.close(master)

    assert shown.decode() == "red é\r\n  indented\r\n"


def test_a_pipe_gets_what_was_printed(printed, capfdbinary, monkeypatch):
    with os.fdopen(os.dup(1), "w") as out:
        monkeypatch.setattr("sys.stdout", out)
        log()

    assert capfdbinary.readouterr().out == HOSTILE


def test_blocks_that_cut_a_character_or_an_escape_do_no_harm():
    pieces = [HOSTILE[at : at + 1] for at in range(len(HOSTILE))]

    assert b"".join(readable(pieces)).decode() == "red é\n  indented\n"


def test_zero_lines_are_all_that_is_kept_as_json_too(printed, capsys):
    printed.write_bytes(b"first\n" + b"x" * BLOCK + b"\nlast\n")

    log("--json", "--lines", "0")

    document = json.loads(capsys.readouterr().out)
    assert document["offset"] == 0
    assert document["log"].startswith("first\n")
    assert document["log"].endswith("\nlast\n")
