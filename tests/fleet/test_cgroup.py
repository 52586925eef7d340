import os

import pytest

from apps.fleet import cgroup
from apps.fleet.cgroup import Group, NoControlGroup

from .launching import Yard, exit_code, output

MISSING = cgroup.available()


@pytest.fixture
def yard(tmp_path):
    yard = Yard(tmp_path)
    yield yard
    yard.close()


@pytest.fixture
def root(tmp_path):
    """The files of a delegated control group, as far as they matter to us."""
    directory = tmp_path / "delegated"
    directory.mkdir()
    (directory / "cgroup.controllers").write_text("cpu memory pids\n")
    (directory / "cgroup.subtree_control").write_text("memory\n")
    return directory


def test_a_directory_that_is_none_is_named(tmp_path):
    assert cgroup.available(tmp_path) == f"{tmp_path} is no control group of version 2"


def test_a_group_without_the_memory_controller_is_named(root):
    (root / "cgroup.controllers").write_text("cpu pids\n")

    assert "isn't delegated" in cgroup.available(root)
    with pytest.raises(NoControlGroup, match="isn't delegated"):
        cgroup.create("agent-1", 1000, root)


def test_a_delegated_group_will_do(root):
    assert cgroup.available(root) is None


def test_memory_is_passed_down_when_it_was_not(root):
    (root / "cgroup.subtree_control").write_text("")

    assert cgroup.available(root) is None
    assert (root / "cgroup.subtree_control").read_text() == "+memory"


def test_it_sets_the_limit(root):
    group = cgroup.create("agent-1", 400_000_000, root)

    assert (group.path / "memory.max").read_text() == "400000000"
    assert (group.path / "memory.oom.group").read_text() == "1"


@pytest.mark.parametrize("name", ["", "../other", "a/b", ".hidden", "new\nline"])
def test_it_refuses_names_that_are_paths(root, name):
    with pytest.raises(ValueError, match="no name"):
        cgroup.create(name, 1000, root)


def test_what_is_not_there_has_no_processes_and_is_removed(tmp_path):
    group = Group(tmp_path / "gone")

    assert cgroup.procs(group) == []
    assert cgroup.usage(group) is None
    cgroup.kill(group)
    assert cgroup.remove(group) is True


def test_an_agent_enters_its_group_before_it_starts(yard, tmp_path):
    (tmp_path / "cgroup.procs").write_text("")

    order = yard.start("cat", str(tmp_path / "cgroup.procs"), cgroup_procs=tmp_path / "cgroup.procs")

    assert exit_code(order) == 0
    assert output(order, b"0") == b"0\n"  # to the kernel: the process that writes


def test_an_agent_that_cannot_enter_its_group_does_not_run(yard, tmp_path):
    order = yard.start("echo", "ran", cgroup_procs=tmp_path / "gone" / "cgroup.procs")

    assert exit_code(order) == 126
    assert b"memory limit could not be set" in output(order, b"started\n")


@pytest.mark.skipif(MISSING is not None, reason=f"no hard limits here: {MISSING}")
def test_the_kernel_ends_an_agent_that_uses_more(yard):
    group = cgroup.create(f"test-{os.getpid()}", 50_000_000)
    try:
        order = yard.start("python3", "-c", "x = bytearray(200_000_000)", cgroup_procs=group.procs)

        assert exit_code(order, seconds=20) == 137
        assert cgroup.usage(group).kills >= 1
    finally:
        cgroup.kill(group)
        assert cgroup.remove(group, patience=5)
