"""What an agent may do to its run directory and its environment: it must cost nobody else anything."""

import os
import time
from datetime import timedelta

import pytest

from apps.fleet import logs
from apps.fleet.domain.lifecycle import STARTING_LIMIT
from apps.fleet.domain.output import Usage
from apps.fleet.launcher import Run, read_run
from apps.fleet.models import State
from apps.fleet.places import home_id
from apps.fleet.presets import load_presets
from apps.fleet.watch import kept_result, kept_usage
from apps.lib.regular import NotRegular, read_regular

from .launching import eventually
from .supervising import UNTIL_TOLD

HOSTILE = {
    "a foreign digit": 'touch "out.²"',
    "a number beyond every row": "touch out.9999999999999999999",
    "a high number": "echo 999999999999 >segment; touch out.999999999999",
    "deep JSON": "for f in result usage-before; do head -c 60000 /dev/zero | tr '\\0' '[' >$f; done",
    "pipes": "for f in exit pid segment result usage-before out.1 out.2; do rm -f $f; mkfifo $f; done",
    "huge files": "for f in exit pid segment result usage-before out.2; do truncate -s 4T $f; done",
    "links that lead nowhere": "ln -s /nowhere out.2; rm segment; ln -s /dev/zero segment",
    "directories": "for f in exit pid segment result; do rm -f $f; mkdir $f; done",
}


@pytest.mark.parametrize("seen_alive", [True, False], ids=["seen alive", "never seen alive"])
@pytest.mark.parametrize("script", HOSTILE.values(), ids=HOSTILE)
def test_one_with_hostile_files_does_not_keep_the_others(fleet, script, seen_alive):
    hostile = fleet.shell(f"{UNTIL_TOLD}; cd $SWARMYARD_RUN_DIR; {script}; touch ../done; exec sleep 60")
    fleet.supervisor.tick()
    if seen_alive:
        fleet.until_state(hostile, State.BUSY, State.IDLE)
    fleet.tell()
    assert eventually(lambda: list(fleet.base.glob("home/runs/*/done")))
    good = fleet.shell("echo fine; exit 0")

    fleet.until_ended(good)
    fleet.new_supervisor()  # whoever takes over reads what is kept
    begun = time.monotonic()
    for _ in range(3):
        fleet.supervisor.tick()

    assert good.exit_code == 0
    assert time.monotonic() - begun < 5
    fleet.do("kill", hostile)
    fleet.until(lambda: not fleet.processes(hostile))
    fleet.supervisor.tick()
    fleet.ahead = timedelta(seconds=STARTING_LIMIT)  # of the one whose launcher can't write down how it ended
    fleet.until_ended(hostile)
    fleet.until(lambda: not fleet.launchers())
    assert not fleet.processes()


@pytest.mark.parametrize("rest", ["².1", "1.²", "0.1", "9999999999999999999999.1", "1.99999999999", "1.1.1"])
def test_a_marker_that_is_none_of_ours_is_left_alone(fleet, rest):
    assert fleet.supervisor.is_over(f"{home_id()}.{rest}") is False


def test_trouble_with_one_agent_is_told_once(fleet, caplog, monkeypatch):
    broken, good = fleet.running("sleep 60"), fleet.running("sleep 60")
    look = fleet.supervisor.look

    def unforeseen(agent, survey):
        if agent.pk == broken.pk:
            raise RuntimeError("unforeseen")
        return look(agent, survey)

    monkeypatch.setattr(fleet.supervisor, "look", unforeseen)
    caplog.set_level("ERROR")
    for _ in range(3):
        fleet.supervisor.tick()
    fleet.do("kill", good)
    fleet.until_ended(good)

    assert caplog.text.count(f"{broken.name} can't be looked at") == 1


def test_a_value_that_no_row_takes_costs_only_its_agent(fleet, caplog):
    broken, good = fleet.running("sleep 60"), fleet.running("sleep 60")
    fleet.supervisor.watches[broken.pk].usage = Usage(tokens_in=2**70)

    fleet.do("kill", good)
    fleet.until_ended(good)

    assert "can't be written down" in caplog.text


def test_files_that_would_hold_up_a_reader_are_nothing(tmp_path):
    for name in ("exit", "pid", "segment", "result", "usage-before", "out.1"):
        os.mkfifo(tmp_path / name)

    assert read_run(tmp_path) == Run(None, None, None)
    assert logs.total(tmp_path) == 0
    assert kept_result(tmp_path) is None
    assert kept_usage(tmp_path) is None


def test_a_preset_that_is_a_pipe_is_refused_and_a_link_is_fine(tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mine.toml").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").write_text('extends = "codex"\n')
    assert "mine" in load_presets(tmp_path / "own")

    os.mkfifo(tmp_path / "own" / "pipe.toml")
    with pytest.raises(Exception, match=r"pipe\.toml can't be read"):
        load_presets(tmp_path / "own")


def test_a_sparse_file_is_read_up_to_the_limit(tmp_path):
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(2**40)

    assert read_regular(tmp_path / "huge", 1000) == bytes(1000)


def test_only_a_regular_file_is_read(tmp_path):
    (tmp_path / "link").symlink_to("/dev/zero")

    with pytest.raises(OSError, match="symbolic"):
        read_regular(tmp_path / "link", 10)
    with pytest.raises(NotRegular):
        read_regular(tmp_path / "link", 10, follow=True)
    with pytest.raises(NotRegular):
        read_regular(tmp_path, 10)
