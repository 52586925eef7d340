import os

import pytest

from apps.fleet import cgroup
from apps.fleet.cgroup import LEAF, Group, NoControlGroup, Root, choose_root, obstacle

from .launching import eventually, exit_code, output

MISSING = obstacle(cgroup.root_of_limits())


@pytest.fixture
def root(tmp_path):
    """The files of a delegated control group, as far as they matter to us."""
    directory = tmp_path / "delegated"
    directory.mkdir()
    (directory / "cgroup.controllers").write_text("cpu memory pids\n")
    (directory / "cgroup.subtree_control").write_text("memory\n")
    (directory / "cgroup.type").write_text("domain\n")
    (directory / "cgroup.procs").write_text("")
    return Root(directory)


def occupied(root, **fields):
    """The same while processes are in it, so that memory can't be passed down."""
    (root.path / "cgroup.subtree_control").write_text("")
    (root.path / "cgroup.procs").write_text("11\n12\n")
    return Root(root.path, **fields)


def test_by_default_it_is_our_own_group(tmp_path):
    assert choose_root("", tmp_path) == Root(tmp_path, is_ours=False, own=tmp_path)
    assert choose_root("own", tmp_path) == Root(tmp_path, is_ours=True, own=tmp_path)
    assert choose_root("own", None) is None
    assert "no control group of version 2" in obstacle(None)


def test_another_group_can_be_named(tmp_path):
    assert choose_root("/sys/fs/cgroup/yard", tmp_path).path.as_posix() == "/sys/fs/cgroup/yard"


def test_after_we_moved_to_the_leaf_the_root_is_still_the_same(tmp_path):
    assert choose_root("own", tmp_path / LEAF).path == tmp_path
    assert choose_root("", tmp_path / LEAF).path == tmp_path


def test_a_directory_that_is_none_is_named(tmp_path):
    assert obstacle(Root(tmp_path)).startswith(f"{tmp_path} is no control group of version 2")


def test_a_group_without_the_memory_controller_is_named(root):
    (root.path / "cgroup.controllers").write_text("cpu pids\n")

    assert "isn't delegated" in obstacle(root)
    with pytest.raises(NoControlGroup, match="isn't delegated"):
        cgroup.create("agent-1", 1000, root)


def test_a_delegated_group_will_do(root):
    assert obstacle(root) == ""


def test_a_group_with_processes_is_left_alone_unless_it_is_ours(root):
    taken = occupied(root)

    assert "set SWARMYARD_CGROUP=own" in obstacle(taken)
    with pytest.raises(NoControlGroup, match="processes of its own"):
        cgroup.create("agent-1", 1000, taken)
    assert (root.path / "cgroup.subtree_control").read_text() == ""
    assert not (root.path / LEAF).exists()


def test_processes_are_in_nobody_s_way_where_the_hierarchy_begins(root):
    (root.path / "cgroup.type").unlink()

    assert obstacle(occupied(root)) == ""


def test_the_way_into_a_group_passes_what_it_shares_with_ours(root, tmp_path):
    ours = tmp_path / "session"
    ours.mkdir()

    assert cgroup.entrance(Root(root.path, own=ours)) == tmp_path / "cgroup.procs"
    assert cgroup.entrance(Root(root.path, own=root.path)) == root.path / "cgroup.procs"
    assert obstacle(Root(root.path, own=ours)) == f"{tmp_path}/cgroup.procs is not ours to write"


def test_what_runs_in_our_group_moves_to_a_leaf_first(root, monkeypatch):
    mine, moved = occupied(root, is_ours=True), []
    plain_write = type(root.path).write_text

    def as_the_kernel_does(path, text):
        if path == root.path / LEAF / "cgroup.procs":
            left = (root.path / "cgroup.procs").read_text().split()
            moved.append(text)
            plain_write(root.path / "cgroup.procs", "\n".join(pid for pid in left if pid != text))
        return plain_write(path, text)

    monkeypatch.setattr(type(root.path), "write_text", as_the_kernel_does)

    assert obstacle(mine) == ""
    assert moved == []  # a look changes nothing
    cgroup.create("agent-1", 1000, mine)

    assert moved == ["11", "12"]
    assert (root.path / "cgroup.subtree_control").read_text() == "+memory"


def test_memory_is_passed_down_when_it_was_not(root):
    (root.path / "cgroup.subtree_control").write_text("")

    cgroup.create("agent-1", 1000, root)

    assert (root.path / "cgroup.subtree_control").read_text() == "+memory"


def test_it_sets_the_limit(root):
    group = cgroup.create("agent-1", 400_000_000, root)

    assert (group.path / "memory.max").read_text() == "400000000"
    assert (group.path / "memory.oom.group").read_text() == "1"
    assert cgroup.group_of("agent-1", root) == group


@pytest.mark.parametrize("name", ["", "../other", "a/b", ".hidden", "new\nline"])
def test_it_refuses_names_that_are_paths(root, name):
    with pytest.raises(ValueError, match="no name"):
        cgroup.create(name, 1000, root)


def test_it_tells_whether_the_limit_was_reached(root):
    group = cgroup.create("agent-1", 1000, root)
    assert cgroup.kills(group) == 0

    (group.path / "memory.events").write_text("low 0\nhigh 0\nmax 12\noom 1\noom_kill 3\n")
    assert cgroup.kills(group) == 3


def test_what_is_not_there_needs_no_end(root, tmp_path):
    group = Group(tmp_path / "gone")

    cgroup.kill(group)
    assert cgroup.remove(group) is True
    assert cgroup.group_of("gone", root) is None


def test_an_agent_enters_its_group_before_it_starts(yard, tmp_path):
    (tmp_path / "cgroup.procs").write_text("")

    order = yard.start("cat", str(tmp_path / "cgroup.procs"), cgroup_procs=tmp_path / "cgroup.procs")

    assert exit_code(order) == 0
    assert output(order, b"0") == b"0\n"  # to the kernel: the process that writes


def test_an_agent_that_cannot_enter_its_group_does_not_run(yard, tmp_path):
    order = yard.start("echo", "ran", cgroup_procs=tmp_path / "gone" / "cgroup.procs")

    assert exit_code(order) == 126
    assert b"memory limit could not be set" in output(order, b"started\n")


@pytest.mark.skipif(bool(MISSING), reason=f"no hard limits here: {MISSING}")
def test_the_kernel_ends_an_agent_that_uses_more(yard):
    group = cgroup.create(f"test-{os.getpid()}", 50_000_000, cgroup.root_of_limits())
    try:
        order = yard.start("python3", "-c", "x = bytearray(200_000_000)", cgroup_procs=group.procs)

        assert exit_code(order, seconds=20) == 137
        assert cgroup.kills(group) >= 1
    finally:
        cgroup.kill(group)
        assert cgroup.remove(group, patience=5)


@pytest.mark.skipif(bool(MISSING), reason=f"no hard limits here: {MISSING}")
def test_the_end_of_a_group_is_that_of_all_in_it(yard):
    group = cgroup.create(f"test-{os.getpid()}", 50_000_000, cgroup.root_of_limits())
    try:
        order = yard.start("sh", "-c", "setsid sleep 60 & sleep 60", cgroup_procs=group.procs)
        eventually(lambda: len(group.procs.read_text().split()) == 2)
        cgroup.kill(group)

        assert exit_code(order, seconds=20) == 137
    finally:
        cgroup.kill(group)
        assert cgroup.remove(group, patience=5)
