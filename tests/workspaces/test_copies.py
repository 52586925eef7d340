"""Several checkouts of one commit: git makes the first, and nobody, git least of all, can tell the others from it."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from apps.workspaces import git as adapter
from apps.workspaces.checkouts import create_workspace
from apps.workspaces.copies import Checkouts, read_checkout
from apps.workspaces.models import Repository, Workspace

from .repositories import git, make_repository


@pytest.fixture
def make(home):
    """Makes workspaces of agents 1 … N of a repository, in turn; returns their rows (unsaved) and the problems."""

    def make(source, count=3, threads=1):
        commit = git(source, "rev-parse", "main")
        rows = [
            Workspace(
                repository=Repository(name="project", path=str(source)),
                path=str(home / "workspaces" / "w1" / f"agent-{number}"),
                branch=f"yard/w1/agent-{number}",
                base_commit=commit,
            )
            for number in range(1, count + 1)
        ]
        checkouts = Checkouts(source, commit, [row.branch for row in rows])
        with ThreadPoolExecutor(max_workers=threads) as pool:
            return rows, list(pool.map(lambda row: create_workspace(row, checkouts), rows))

    return make


def commit(repository):
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "more")


def everything(path):
    """What a program finds there: kinds, modes, contents."""
    found = {}
    for name in sorted(Path(path).rglob("*")):
        if name.name == ".git":
            continue
        mode = name.lstat().st_mode
        content = (
            os.readlink(name) if stat.S_ISLNK(mode) else name.read_bytes() if stat.S_ISREG(mode) else None
        )
        found[str(name.relative_to(path))] = (mode, content)
    return found


def as_git_remembers(path):
    """By file: what tells git, without reading it, that it is unchanged."""
    found, name = {}, ""
    for line in git(path, "-c", "core.quotePath=false", "ls-files", "--debug").splitlines():
        if not line.startswith("  "):
            name = line
            found[name] = {}
        else:
            found[name] |= dict(word.split(":", 1) for word in line.replace(": ", ":").split())
    return found


def unusual_names(repository):
    for name in ("with space", "tab\there", "line\nbreak", "ünïcödé", "-dash", "a" * 200, "back\\slash"):
        (repository / name).write_text(name)
    (repository / os.fsdecode(b"latin-\xe9")).write_text("no utf-8")
    deep = repository / "/".join(["deep"] * 40)
    deep.mkdir(parents=True)
    (deep / "file").touch()


def kinds(repository):
    (repository / "program").write_text("#!/bin/sh\n")
    (repository / "program").chmod(0o755)
    (repository / "link").symlink_to("file-0.txt")
    (repository / "nowhere").symlink_to("/does/not/exist")
    (repository / "directory").mkdir()
    (repository / "directory" / "up").symlink_to("..")
    (repository / "empty").touch()
    (repository / "binary").write_bytes(bytes(range(256)) * 1000)


def attributes(repository):
    (repository / ".gitattributes").write_text(
        "*.bat text eol=crlf\n*.id ident\n*.utf16 working-tree-encoding=UTF-16\n"
    )
    (repository / "run.bat").write_text("one\ntwo\n")
    (repository / "of.id").write_text("$Id$\n")
    (repository / "wide.utf16").write_bytes("wide".encode("utf-16"))


def a_smudge_filter(repository):
    git(repository, "config", "filter.shout.smudge", "tr a-z A-Z")
    git(repository, "config", "filter.shout.clean", "tr A-Z a-z")
    (repository / ".gitattributes").write_text("*.loud filter=shout\n")
    (repository / "hey.loud").write_text("hey\n")


CONTENTS = {
    "unusual names": unusual_names,
    "links, programs, empty and binary files": kinds,
    "attributes": attributes,
    "a smudge filter": a_smudge_filter,
    "nothing but what is there": lambda repository: (repository / "new").touch(),
}


@pytest.mark.parametrize("fill", CONTENTS.values(), ids=CONTENTS)
def test_copies_are_like_what_git_checked_out(make, repository, fill):
    fill(repository)
    commit(repository)

    rows, problems = make(repository)

    assert problems == [""] * 3
    first, *others = (everything(row.path) for row in rows)
    assert first
    assert others == [first, first]
    assert {git(row.path, "status", "--porcelain", "--branch") for row in rows} == {
        f"## {row.branch}" for row in rows
    }
    assert read_checkout(Path(rows[2].path), Path(rows[2].git_directory)) is not None  # so it was a copy


def test_git_needs_not_read_the_files_of_a_copy_to_know_them(make, repository):
    kinds(repository)
    commit(repository)
    rows, _ = make(repository)

    for name, remembered in as_git_remembers(rows[2].path).items():
        there = (Path(rows[2].path) / name).lstat()
        modified, changed = divmod(there.st_mtime_ns, 10**9), divmod(there.st_ctime_ns, 10**9)
        assert remembered["mtime"] == "{}:{}".format(*modified)
        assert remembered["ctime"] == "{}:{}".format(*changed)
        assert (remembered["dev"], remembered["ino"]) == (str(there.st_dev), str(there.st_ino))
        assert (remembered["uid"], remembered["gid"]) == (str(there.st_uid), str(there.st_gid))
        assert remembered["size"] == str(there.st_size)


def test_a_copy_knows_what_changes_in_it(make, repository):
    rows, _ = make(repository)
    work = Path(rows[1].path)

    (work / "file-0.txt").write_text("1\n" * 10)  # as long as before
    (work / "file-1.txt").unlink()
    (work / "new.txt").touch()

    assert git(work, "status", "--porcelain").split("\n") == ["M file-0.txt", " D file-1.txt", "?? new.txt"]
    git(work, "add", "--all")
    git(work, "commit", "--quiet", "--message", "work")
    assert git(work, "fsck", "--strict") == ""
    assert git(work, "diff", "--stat", "main").splitlines()[-1].strip().startswith("3 files changed")
    assert git(rows[2].path, "status", "--porcelain") == ""


def with_a_submodule(repository):
    inner = make_repository(repository.parent / "inner")
    git(repository, "-c", "protocol.file.allow=always", "submodule", "add", "--quiet", str(inner), "inner")


def with_a_version_4_index(repository):
    git(repository, "config", "index.version", "4")


def with_a_split_index(repository):
    git(repository, "config", "core.splitIndex", "true")


def without_links(repository):
    kinds(repository)
    git(repository, "config", "core.symlinks", "false")


LEFT_TO_GIT = {
    "a submodule": with_a_submodule,
    "an index of version 4": with_a_version_4_index,
    "a split index": with_a_split_index,
    "links as files": without_links,
}


@pytest.mark.parametrize("change", LEFT_TO_GIT.values(), ids=LEFT_TO_GIT)
def test_what_is_unusual_is_left_to_git(make, repository, change):
    change(repository)
    (repository / "more").touch()
    commit(repository)

    rows, problems = make(repository)

    assert problems == [""] * 3
    assert {git(row.path, "status", "--porcelain") for row in rows} == {""}
    assert read_checkout(Path(rows[2].path), Path(rows[2].git_directory)) is None
    assert everything(rows[0].path) == everything(rows[1].path) == everything(rows[2].path)


def test_a_repository_of_the_other_hash_is_left_to_git(make, tmp_path):
    source = tmp_path / "sha256"
    source.mkdir()
    git(source, "init", "--quiet", "--object-format=sha256", "--initial-branch=main")
    (source / "file").write_text("content")
    commit(source)

    rows, problems = make(source)

    assert problems == [""] * 3
    assert {git(row.path, "status", "--porcelain") for row in rows} == {""}


def test_what_is_too_big_to_keep_in_memory_is_left_to_git(make, repository, monkeypatch):
    monkeypatch.setattr("apps.workspaces.copies.MOST_BYTES", 50)

    rows, problems = make(repository)

    assert problems == [""] * 3
    assert {git(row.path, "status", "--porcelain") for row in rows} == {""}


def test_many_threads(make, repository):
    rows, problems = make(repository, count=40, threads=8)

    assert problems == [""] * 40
    assert {git(row.path, "status", "--porcelain", "--branch") for row in rows} == {
        f"## {row.branch}" for row in rows
    }


def test_one_branch_that_is_taken_doesn_t_keep_the_others(make, repository):
    git(repository, "switch", "--quiet", "--create", "yard/w1/agent-2")
    (repository / "work").touch()
    commit(repository)

    rows, problems = make(repository)

    assert [bool(problem) for problem in problems] == [False, True, False]
    assert "has commits of its own" in problems[1]
    assert git(rows[2].path, "status", "--porcelain", "--branch") == "## yard/w1/agent-3"


def test_branches_that_a_cut_off_attempt_left_are_taken(make, repository):
    head = git(repository, "rev-parse", "main")
    assert adapter.create_branches(repository, [f"yard/w1/agent-{number}" for number in (1, 2, 3)], head)

    rows, problems = make(repository)

    assert problems == [""] * 3
    assert {git(row.path, "status", "--porcelain") for row in rows} == {""}


def test_an_umask_holds_for_copies_too(make, repository):
    kinds(repository)
    commit(repository)
    before = os.umask(0o077)
    try:
        rows, _ = make(repository)
    finally:
        os.umask(before)

    assert everything(rows[1].path) == everything(rows[0].path)
    assert (Path(rows[1].path) / "program").stat().st_mode & 0o777 == 0o700
