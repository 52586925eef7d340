from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentkit.drilling.checkout import Checkout
from agentkit.drilling.edits import NotEditable


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret.py").write_text("secret\n")
    (tmp_path / "yard").mkdir()
    return tmp_path / "yard"


def test_it_replaces_a_file_and_keeps_its_mode(root: Path) -> None:
    (root / "run.py").write_text("old")
    (root / "run.py").chmod(0o755)

    Checkout(str(root)).write("run.py", b"new")

    assert (root / "run.py").read_text() == "new"
    assert (root / "run.py").stat().st_mode & 0o777 == 0o755
    assert os.listdir(root) == ["run.py"]


@pytest.mark.parametrize(
    "path", ["link.py", "linked/secret.py", "../outside/secret.py", "sub/../../outside/secret.py"]
)
def test_it_never_leaves_the_checkout(root: Path, path: str) -> None:
    (root / "sub").mkdir()
    (root / "link.py").symlink_to("../outside/secret.py")
    (root / "linked").symlink_to("../outside")
    checkout = Checkout(str(root))

    with pytest.raises(NotEditable):
        checkout.read(path)
    with pytest.raises(NotEditable):
        checkout.write(path, b"changed")

    assert (root.parent / "outside/secret.py").read_text() == "secret\n"


def test_it_does_not_write_through_a_dangling_link(root: Path) -> None:
    (root / "new.md").symlink_to("../outside/created.md")

    with pytest.raises(NotEditable):
        Checkout(str(root)).write("new.md", b"text")

    assert not (root.parent / "outside/created.md").exists()


def test_a_hard_link_elsewhere_keeps_its_content(root: Path) -> None:
    os.link(root.parent / "outside/secret.py", root / "same.py")

    Checkout(str(root)).write("same.py", b"changed")

    assert (root / "same.py").read_bytes() == b"changed"
    assert (root.parent / "outside/secret.py").read_text() == "secret\n"


def test_it_leaves_git_s_own_files_alone(root: Path) -> None:
    (root / ".git").mkdir()
    (root / ".git/config.md").write_text("x")

    with pytest.raises(NotEditable):
        Checkout(str(root)).read(".git/config.md")


def test_it_refuses_what_is_no_writable_file_without_blocking_on_it(root: Path) -> None:
    os.mkfifo(root / "pipe.py")
    (root / "directory.py").mkdir()
    (root / "fixed.py").write_text("x")
    (root / "fixed.py").chmod(0o444)
    checkout = Checkout(str(root))

    for path in ("pipe.py", "directory.py", "fixed.py", "missing.py", "missing/file.py"):
        with pytest.raises(NotEditable):
            checkout.read(path)


def test_a_temporary_file_that_a_killed_drill_left_is_no_obstacle(root: Path) -> None:
    (root / f".drill-{os.getpid()}.tmp").symlink_to("../outside/secret.py")

    Checkout(str(root)).write("a.py", b"new")

    assert os.listdir(root) == ["a.py"]
    assert (root.parent / "outside/secret.py").read_text() == "secret\n"


def test_it_leaves_no_descriptor_open(root: Path) -> None:
    (root / "a/b").mkdir(parents=True)
    checkout = Checkout(str(root))
    before = os.listdir("/proc/self/fd")

    for path in ("a/b/c.py", "a/x/c.py", "nowhere/c.py", "a/../c.py"):
        for act in (checkout.read, checkout.exists, lambda path: checkout.write(path, b"x")):
            try:
                act(path)
            except NotEditable:
                pass

    assert os.listdir("/proc/self/fd") == before
