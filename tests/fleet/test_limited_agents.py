"""Agents whose preset sets a hard memory limit, on a directory with the files of a control group: what the kernel does
with them is shown in test_cgroup.py, where one can be had."""

import shutil

import pytest

from apps.fleet.surroundings import tidy_after

from .supervising import UNTIL_TOLD

LIMITED = 'argv = ["{command…}"]\nexecutable = "{command}"\nmemory_budget_mb = 10\nmemory_limit_mb = 20\n'


@pytest.fixture
def limited(fleet, settings):
    presets = settings.SWARMYARD_HOME / "presets"
    presets.mkdir()
    (presets / "limited.toml").write_text(LIMITED)
    fleet.new_supervisor()
    return fleet


@pytest.fixture
def root(tmp_path, settings):
    directory = tmp_path / "delegated"
    directory.mkdir()
    for name, text in (("controllers", "memory"), ("subtree_control", "memory"), ("procs", "")):
        (directory / f"cgroup.{name}").write_text(text)
    settings.CGROUP = str(directory)
    return directory


def test_it_does_not_start_where_no_limit_can_be_had(limited, settings, tmp_path):
    settings.CGROUP = str(tmp_path / "nowhere")

    agent = limited.shell("true", preset="limited")
    limited.until_ended(agent)

    assert agent.state == "failed"
    assert "its preset sets a hard memory limit" in agent.reason
    assert "nowhere is no control group" in agent.reason


def test_it_runs_in_a_group_of_its_own(limited, root):
    agent = limited.running("sleep 60", preset="limited")

    (group,) = (path for path in root.iterdir() if path.is_dir())
    assert (group / "memory.max").read_text() == str(20 * 1024 * 1024)
    assert (group / "cgroup.procs").read_text() == "0\n"  # itself: the process that writes

    (group / "cgroup.kill").touch()
    limited.do("kill", agent)
    limited.until_ended(agent)
    assert (group / "cgroup.kill").read_text() == "1"


def test_an_end_at_the_limit_is_a_failure_of_its_own(limited, root):
    agent = limited.running(f"{UNTIL_TOLD}; kill -9 $$", preset="limited")
    (group,) = (path for path in root.iterdir() if path.is_dir())
    (group / "memory.events").write_text("oom 1\noom_kill 1\n")

    limited.tell()
    limited.until_ended(agent)

    assert (agent.state, agent.reason) == ("failed", "ended at its hard memory limit")


def test_the_limit_is_told_though_the_group_was_removed_by_a_runhost_that_died(limited, root):
    """It was removed before the end was written down; the one who writes that finds no group any more."""
    agent = limited.running(f"{UNTIL_TOLD}; kill -9 $$", preset="limited")
    (group,) = (path for path in root.iterdir() if path.is_dir())
    (group / "memory.events").write_text("oom 1\noom_kill 1\n")

    assert tidy_after(agent)
    shutil.rmtree(group)
    limited.tell()
    limited.until_ended(agent)

    assert agent.reason == "ended at its hard memory limit"
