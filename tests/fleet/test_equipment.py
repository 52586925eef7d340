"""What a host has: looked for there, and believed by whoever asks elsewhere."""

import os
from datetime import UTC, datetime, timedelta

import pytest

from apps.fleet.equipment import EquipmentWatch, limits_problems, presence_of
from apps.fleet.models import Host
from apps.fleet.presets import load_presets

from .factories import make_host

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """The only directory on PATH; call it to install a program there."""
    directory = tmp_path / "programs"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))

    def install(name):
        program = directory / name
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        return str(program)

    return install


def reporting(name, *, limits_problem="", heartbeat_at=NOW, **programs):
    equipment = {
        "programs": {preset.replace("_", "-"): path for preset, path in programs.items()},
        "presets_problem": "",
        "limits_problem": limits_problem,
    }
    return make_host(name=name, heartbeat_at=heartbeat_at, equipment=equipment)


def claude():
    return load_presets()["claude-code"]


def test_it_says_where_the_program_of_each_preset_lies(home, programs):
    where = programs("codex")

    found = EquipmentWatch().news(NOW)

    assert found["programs"]["codex"] == where
    assert found["programs"]["claude-code"] == ""
    assert "command" not in found["programs"]  # any program


def test_it_looks_again_once_a_minute(home, programs):
    watch = EquipmentWatch()
    watch.reported = watch.news(NOW)
    where = programs("claude")

    assert watch.news(NOW + MINUTE / 2) is None
    assert watch.news(NOW + MINUTE)["programs"]["claude-code"] == where


def test_what_was_not_written_down_is_told_again(home, programs):
    watch = EquipmentWatch()
    first = watch.news(NOW)

    assert watch.news(NOW + MINUTE) == first
    watch.reported = first
    assert watch.news(NOW + 2 * MINUTE) is None


def test_a_preset_file_that_changes_is_seen_at_once(home, programs):
    watch = EquipmentWatch()
    watch.reported = watch.news(NOW)
    (home / "presets").mkdir()
    own = home / "presets" / "mine.toml"
    own.write_text('argv = ["mine"]\nexecutable = "mine"\n')

    watch.reported = watch.news(NOW)
    assert watch.reported["programs"]["mine"] == ""

    own.write_text("argv = \n")
    os.utime(own, ns=(1, 1))
    broken = watch.news(NOW)
    assert "mine.toml can't be read" in broken["presets_problem"]
    assert broken["programs"]["mine"] == ""  # the presets stay as they were


def test_a_runhost_reports_it(fleet):
    fleet.supervisor.tick()

    fleet.host.refresh_from_db()
    assert fleet.host.equipment["programs"]["drill"]
    assert set(fleet.host.equipment) == {"programs", "presets_problem", "limits_problem", "view_problem"}


def test_the_host_is_believed_not_the_machine_that_asks(db, programs):
    here = programs("claude")
    there = [reporting("far", claude_code="")]

    assert presence_of(claude(), there, NOW).found is False
    assert presence_of(claude(), there, NOW).where == "host far"
    Host.objects.all().delete()
    assert presence_of(claude(), [reporting("far", claude_code="/opt/claude")], NOW).path == "/opt/claude"
    assert here


def test_each_host_must_have_it(db, programs):
    hosts = [reporting("one", claude_code="/opt/claude"), reporting("two", claude_code="")]

    assert presence_of(claude(), hosts, NOW).where == "host two"
    assert presence_of(claude(), hosts, NOW).found is False


@pytest.mark.parametrize("reported", [False, True])
def test_without_a_word_of_a_host_it_is_looked_for_here(db, programs, reported):
    here = programs("claude")
    silent = [reporting("far", claude_code="", heartbeat_at=NOW - MINUTE)] if reported else [make_host()]

    presence = presence_of(claude(), silent, NOW)

    assert presence.path == here
    assert presence.where == "this machine (no host has reported yet)"


def test_it_says_where_no_hard_limit_can_be_set(db):
    hosts = [reporting("one"), reporting("two", limits_problem="not delegated")]

    assert limits_problems(hosts, NOW) == {"two": "not delegated"}
