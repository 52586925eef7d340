from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.agentkit.conftest import git
from tests.agentkit.drills import (
    MIXED,
    MODULES,
    changed_files,
    drill,
    trees,
)


def test_the_same_seed_makes_the_same_commits(
    make_repository: Callable[..., Path], git_home: dict[str, str]
) -> None:
    roots = [make_repository(MIXED, name) for name in ("one", "two", "three")]
    options = ("--operations", "40", "--overlap", "0.5", "--fail-rate", "0.2")
    for root, seed in zip(roots, ("7", "7", "8"), strict=True):
        drill(root, git_home, *options, "--seed", seed)

    first, second, third = (trees(root, git_home) for root in roots)

    assert len(first) > 8
    assert first == second
    assert first != third


def test_it_edits_builds_commits_and_reads(
    make_repository: Callable[..., Path], git_home: dict[str, str]
) -> None:
    root = make_repository(MIXED)
    check = [sys.executable, "-S", "-m", "compileall", "-q", "pkg"]

    summary, lines = drill(root, git_home, "--operations", "12", "--overlap", "1", "--", *check)

    assert [line.split()[1] for line in lines[1:]] == ["edit", "build", "commit", "read"] * 3
    assert summary == {
        "drill": 1,
        "operations": 12,
        "ok": 12,
        "errors": 0,
        "induced": 0,
        "acked": 0,
        "dropped": 0,
        "unacked": 0,
        "commits": 3,
        "wait_ms": 0.0,
        "seed": "0",
        "stopped": False,
    }
    assert len(trees(root, git_home)) == 4
    assert changed_files(root, git_home) <= set(MIXED)


def test_agents_without_overlap_touch_different_files(
    make_repository: Callable[..., Path], git_home: dict[str, str]
) -> None:
    touched = []
    for number in (1, 2):
        root = make_repository(MIXED, f"agent-{number}")
        drill(root, git_home, "--operations", "20", agent=f"w1/agent-{number:02d}")
        touched.append(changed_files(root, git_home))

    assert all(touched)
    assert not touched[0] & touched[1]


def test_agents_with_overlap_touch_the_same_files(
    make_repository: Callable[..., Path], git_home: dict[str, str]
) -> None:
    touched = []
    for number in (1, 2):
        root = make_repository(MIXED, f"agent-{number}")
        drill(root, git_home, "--operations", "60", "--overlap", "1", agent=f"w1/agent-{number:02d}")
        touched.append(changed_files(root, git_home))

    assert len(touched[0] & touched[1]) >= 4


def test_it_fails_on_purpose_as_often_as_asked(
    make_repository: Callable[..., Path], git_home: dict[str, str]
) -> None:
    summary, lines = drill(make_repository(MODULES), git_home, "--operations", "100", "--fail-rate", "0.3")

    assert 15 <= summary["induced"] <= 45
    assert summary["ok"] + summary["induced"] == 100
    assert sum(line.split()[2] == "induced" for line in lines[1:]) == summary["induced"]


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"Makefile": "all:\n", "logo.png": b"\x89PNG\0"},
        {
            "a file.py": "X = 1\n",
            "-rf.py": "X = 1\n",
            "été\n☃.md": "# x\n",
            '"quoted".py': "X = 1\n",
            ":(top)x.py": "X = 1\n",
        },
        {"broken.py": "def f(:\n", "binary.py": b"\0\0", "empty.py": ""},
        {b"latin-\xe9.py".decode("utf-8", "surrogateescape"): "X = 1\n", "only.md": "x"},
    ],
    ids=["empty", "no known language", "odd names", "broken files", "name in no encoding"],
)
@pytest.mark.parametrize("overlap", ["0", "1"])
def test_odd_repositories_do_not_break_it(
    make_repository: Callable[..., Path],
    git_home: dict[str, str],
    files: dict[str, str | bytes],
    overlap: str,
) -> None:
    root = make_repository(files)

    summary, _ = drill(root, git_home, "--operations", "12", "--overlap", overlap)

    assert (summary["operations"], summary["errors"]) == (12, 0)
    assert summary["commits"] == 4
    assert git(root, git_home, "status", "--porcelain") == ""


def test_links_and_read_only_files_stay_as_they_are(
    make_repository: Callable[..., Path], git_home: dict[str, str]
) -> None:
    root = make_repository({"fixed.py": "X = 1\n"})
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "mine.py").write_text("MINE = 1\n")
    (root / "link.py").symlink_to(outside / "mine.py")
    (root / "folder").symlink_to(outside)
    (root / "fixed.py").chmod(0o444)
    git(root, git_home, "add", "-A")
    git(root, git_home, "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "commit", "-qm", "links")

    summary, _ = drill(root, git_home, "--operations", "30", "--overlap", "0.5", agent="")

    assert summary["errors"] == 0
    assert (outside / "mine.py").read_text() == "MINE = 1\n"
    assert os.listdir(outside) == ["mine.py"]
    assert (root / "fixed.py").read_text() == "X = 1\n"
    assert changed_files(root, git_home) == {"drill-solo.md", "link.py", "folder"}


def test_it_commits_what_it_edited_and_nothing_else(
    make_repository: Callable[..., Path], git_home: dict[str, str]
) -> None:
    root = make_repository(MODULES)
    (root / "staged.txt").write_text("somebody's")
    git(root, git_home, "add", "staged.txt")
    (root / "loose.txt").write_text("somebody's")

    drill(root, git_home, "--operations", "9")

    assert changed_files(root, git_home) <= set(MODULES)
    assert git(root, git_home, "status", "--porcelain") == "A  staged.txt\n?? loose.txt\n"


def test_it_works_below_the_top_of_a_repository_and_stays_there(
    make_repository: Callable[..., Path], git_home: dict[str, str]
) -> None:
    root = make_repository(MIXED)

    summary, _ = drill(root / "pkg", git_home, "--operations", "9", agent="")

    assert summary["commits"] == 3
    assert all(path.startswith("pkg/") for path in changed_files(root, git_home))


def test_the_agent_is_the_author_where_git_knows_nobody(
    make_repository: Callable[..., Path], git_home: dict[str, str]
) -> None:
    root = make_repository({})
    drill(root, git_home, "--operations", "2")
    git(root, git_home, "config", "user.name", "Ada")
    git(root, git_home, "config", "user.email", "ada@example.org")
    drill(root, git_home, "--operations", "2")

    assert git(root, git_home, "log", "--reverse", "--format=%an <%ae>").splitlines() == [
        "w1/agent-05 <w1-agent-05@swarmyard.invalid>",
        "Ada <ada@example.org>",
    ]


def test_hooks_do_not_run_and_the_environment_s_repository_is_not_touched(
    make_repository: Callable[..., Path], git_home: dict[str, str]
) -> None:
    root, other = make_repository(MODULES), make_repository(MODULES, "other")
    for name in ("pre-commit", "post-commit", "commit-msg"):
        (root / ".git/hooks").mkdir(exist_ok=True)
        (root / ".git/hooks" / name).write_text("#!/bin/sh\ntouch hook-ran\nexit 1\n")
        (root / ".git/hooks" / name).chmod(0o755)
    before = trees(other, git_home)

    summary, _ = drill(
        root, git_home | {"GIT_DIR": str(other / ".git"), "GIT_INDEX_FILE": "/nowhere"}, "--operations", "3"
    )

    assert summary["commits"] == 1
    assert not (root / "hook-ran").exists()
    assert trees(other, git_home) == before
