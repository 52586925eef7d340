"""What an agent writes into its git configuration runs nothing when we look at its workspace."""

import pytest

from apps.workspaces import git as ours
from tests.workspaces.repositories import git, make_repository


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """Set up to tell of every program that git starts, with the environment it got."""
    path = make_repository(tmp_path / "workspace")
    base = git(path, "rev-parse", "HEAD")
    trap = tmp_path / "trap"
    trap.write_text(f'#!/bin/sh\nenv >> "{tmp_path}/ran"\ncat\n')
    trap.chmod(0o755)
    (path / "file-0.txt").write_text("changed\n")
    (path / "file-1.txt").write_text("changed too\n")
    git(path, "commit", "--quiet", "--message", "second", "file-1.txt")
    monkeypatch.setenv("SECRET_KEY", "the-web-process-s-own")
    return path, base, str(trap), tmp_path / "ran"


@pytest.mark.parametrize("variable", ["clean", "process"])
@pytest.mark.parametrize("name", ["x", "a=b.c"])
def test_it_runs_no_filter(workspace, variable, name):
    path, base, trap, ran = workspace
    (path / ".gitattributes").write_text(f"* filter={name}\n")
    git(path, "config", f"filter.{name}.{variable}", trap)
    git(path, "config", f"filter.{name}.required", "true")

    changes = {change.path: change.added for change in ours.diff_stat(path, base)}
    text = ours.diff_text(path, base, 10_000)

    assert changes == {"file-0.txt": 1, "file-1.txt": 1}
    assert "+changed too" in text
    assert not ran.exists()


@pytest.mark.parametrize(
    "settings",
    [
        {"diff.external": "TRAP"},
        {"core.fsmonitor": "TRAP"},
        {"diff.x.textconv": "TRAP"},
        {"diff.x.command": "TRAP"},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_it_runs_no_other_program(workspace, settings):
    path, base, trap, ran = workspace
    (path / ".gitattributes").write_text("* diff=x\n")
    for name, value in settings.items():
        git(path, "config", name, value.replace("TRAP", trap))

    ours.diff_stat(path, base)
    ours.diff_text(path, base, 10_000)
    found = ours.commits(path, base, 10)

    assert [commit.subject for commit in found] == ["second"]
    assert not ran.exists()


def test_it_checks_no_signature(workspace):
    path, base, trap, ran = workspace
    head, body = git(path, "cat-file", "commit", "HEAD").split("\n\n", 1)
    signature = "gpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----"
    signed = path.with_name("commit")
    signed.write_text(f"{head}\n{signature}\n\n{body}\n")
    git(path, "reset", "--quiet", "--soft", git(path, "hash-object", "-t", "commit", "-w", str(signed)))
    git(path, "config", "log.showSignature", "true")
    git(path, "config", "gpg.program", trap)

    assert [commit.subject for commit in ours.commits(path, base, 10)] == ["second"]
    assert not ran.exists()


def test_it_fetches_no_object_that_lacks(workspace):
    path, base, trap, ran = workspace
    blob = git(path, "rev-parse", f"{base}:file-0.txt")
    (path / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    for name, value in {
        "core.repositoryFormatVersion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.promisor": "true",
        "remote.origin.url": f"ext::{trap}",
        "protocol.ext.allow": "always",
    }.items():
        git(path, "config", name, value)

    ours.diff_text(path, base, 10_000)

    assert not ran.exists()


def test_a_filter_of_the_operators_own_works_without_the_control_planes_secrets(
    workspace, tmp_path, monkeypatch
):
    path, base, trap, ran = workspace
    own = tmp_path / "gitconfig"
    own.write_text(f'[filter "x"]\n\tclean = {trap}\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(own))
    (path / ".gitattributes").write_text("* filter=x\n")

    ours.diff_text(path, base, 10_000)

    assert "PATH=" in ran.read_text()
    assert "the-web-process-s-own" not in ran.read_text()
