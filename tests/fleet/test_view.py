"""Agents that see directories at other paths: as root and as somebody else, under a real supervisor."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from apps.fleet import view, viewer
from apps.fleet.models import State
from tests.needs import needs

pytestmark = needs("mounts")
NOBODY = 65534
SYSTEM_PYTHON = "/usr/bin/python3"  # one that everybody may run


@pytest.fixture
def places(tmp_path):
    """A directory with a file in it, and where it is to be seen."""
    source, place = tmp_path / "mine, ä", tmp_path / "seen"
    source.mkdir()
    place.mkdir()
    (source / "file").write_text("content")
    return source, place


def seen(places, *argv, **options):
    source, place = map(str, places)
    words = [*view.prefix([(source, place)], place), *argv]
    return subprocess.run(words, capture_output=True, text=True, timeout=30, **options)


def test_a_directory_is_seen_at_its_place_and_nobody_else_sees_it_there(places):
    done = seen(places, "sh", "-c", "pwd; cat file; echo new > made")

    assert done.stdout == f"{places[1]}\ncontent"
    assert (places[0] / "made").read_text() == "new\n"
    assert not list(places[1].iterdir())


def test_arguments_environment_and_exit_code_are_the_program_s(places):
    code = "import os,sys; print(sys.argv[1:], sorted(os.environ)); sys.exit(7)"

    done = seen(
        places, sys.executable, "-I", "-c", code, "a b", "--", "", env={"ONE": "1", "LC_ALL": "POSIX"}
    )

    assert done.returncode == 7
    assert done.stdout == "['a b', '--', ''] ['LC_ALL', 'ONE']\n"


def test_a_program_that_is_not_there_gives_127(places):
    done = seen(places, "no-such-program")

    assert done.returncode == 127
    assert "no-such-program: No such file" in done.stderr


def test_it_says_why_nothing_could_be_shown(places):
    done = seen((places[0] / "none", places[1]), "true")

    assert done.returncode == 126
    assert "was not started: mount: No such file or directory" in done.stderr


def test_python_s_own_signals_are_not_handed_on(places):
    done = seen(places, "sh", "-c", "grep SigIgn /proc/self/status")

    assert int(done.stdout.split()[1], 16) & (1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGXFSZ - 1)) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_somebody_without_rights_stays_himself(places, tmp_path):
    for path in (tmp_path, *tmp_path.parents):
        if not os.stat(path).st_mode & 0o001:
            path.chmod(path.stat().st_mode | 0o011)
    script = tmp_path / "viewer.py"
    shutil.copy(viewer.__file__, script)
    source, place = map(str, places)
    show = "id -u; id -g; cat file; grep -E 'Cap(Prm|Eff|Inh|Amb)' /proc/self/status"

    done = subprocess.run(
        [SYSTEM_PYTHON, "-IS", str(script), source, place, "--", place, "sh", "-c", show],
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        capture_output=True,
        text=True,
        timeout=30,
    )

    lines = done.stdout.split()
    assert lines[:2] == [str(NOBODY), str(NOBODY)], done.stderr
    assert lines[2].startswith("content")
    assert {word for word in lines[3:] if not word.startswith("Cap") and ":" not in word} == {"0" * 16}


def test_this_machine_can(places):
    assert view.obstacle() == ""


def test_a_machine_that_can_not_says_why(monkeypatch):
    view.obstacle.cache_clear()
    monkeypatch.setattr(view, "SCRIPT", Path("/nowhere/viewer.py"))
    try:
        assert "mount namespaces can't be had here" in view.obstacle()
    finally:
        view.obstacle.cache_clear()


# Under a supervisor


def shown(fleet, script):
    place = fleet.base / "seen"
    place.mkdir(exist_ok=True)
    agent = fleet.shell(script)
    agent.view = [[agent.workspace_path, str(place)]]
    agent.save(update_fields=["view"])
    return agent, place


def test_an_agent_is_supervised_as_any_other(fleet):
    agent, place = shown(fleet, 'pwd; echo "$SWARMYARD_WORKSPACE"; sleep 600 & echo child; wait')
    fleet.until_state(agent, State.BUSY, State.IDLE)
    fleet.until(lambda: b"child" in fleet.output(agent))

    fleet.new_supervisor()  # as after a kill: it is adopted
    fleet.until_state(agent, State.BUSY, State.IDLE)
    fleet.until(lambda: len(fleet.processes(agent)) == 2)
    assert Path(f"/proc/{agent.pid}/cmdline").read_bytes().startswith(b"sh\0-c\0")
    assert fleet.output(agent).decode().splitlines()[:2] == [str(place), str(place)]
    fleet.do("pause", agent)
    fleet.until_state(agent, State.PAUSED)
    fleet.do("kill", agent)
    fleet.until_ended(agent)

    assert not fleet.processes(agent)


def test_its_exit_code_is_told(fleet):
    agent, _ = shown(fleet, "exit 5")

    fleet.until_ended(agent)

    assert (agent.state, agent.exit_code) == (State.FAILED, 5)


def test_one_that_can_not_be_shown_its_workspace_fails_and_says_so(fleet):
    agent, place = shown(fleet, "true")
    place.rmdir()

    fleet.until_ended(agent)

    assert (agent.state, agent.exit_code) == (State.FAILED, 126)
    assert b"could not be shown its workspace" in fleet.output(agent)
