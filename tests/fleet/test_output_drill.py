"""The last line of a drill, for people."""

import subprocess
import sys
from pathlib import Path

import pytest

from apps.fleet.domain.output import Activity, new_parser

DRILL = Path(__file__).resolve().parents[2] / "agentkit" / "drill.py"


def last_said(output: bytes) -> str:
    said = new_parser("drill").feed(output)
    return next(each.text for each in reversed(said) if isinstance(each, Activity))


@pytest.mark.parametrize(
    ("summary", "words"),
    [
        (b'{"drill": 1, "operations": 40, "induced": 2}', "did 40 operations, 2 failed on purpose"),
        (b'{"drill": 1, "operations": 40, "commits": 9}', "did 40 operations, 9 commits"),
        (b'{"drill": 1, "operations": 1, "errors": 1, "unacked": 1}', "did 1 operation, 1 failed, 1 not reported"),
        (b'{"drill": 1}', "did 0 operations"),
        (b'{"drill": 1, "operations": "many", "induced": null}', "did 0 operations"),
        (b'{"drill": not JSON', '{"drill": not JSON'),
    ],
)  # fmt: skip
def test_it_says_its_summary_in_words(summary, words):
    assert last_said(b"edited a.py\n" + summary + b"\n") == words


def test_it_says_what_it_does_until_then():
    assert last_said(b"drill: at work\nbuilt in 3 s\n") == "built in 3 s"


def test_it_understands_what_the_drill_prints(tmp_path):
    names = ["-c", "user.name=Ada", "-c", "user.email=ada@yard.example"]
    for arguments in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "First"]):
        subprocess.run(["git", "-C", str(tmp_path), *names, *arguments], check=True)
    command = [sys.executable, "-S", "-E", str(DRILL), "--operations", "2", "--fail-rate", "1", "--", "true"]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60, check=True)

    assert last_said(done.stdout).startswith("did 2 operations, 2 failed on purpose")
