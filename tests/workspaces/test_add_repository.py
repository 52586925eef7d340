"""Registering repositories: what is refused, and why it says so."""

import os

import pytest
from django.utils import timezone

from apps.access.exceptions import NotAllowed
from apps.events.domain.actor import Actor, Role
from apps.events.models import Event
from apps.workspaces import actions
from apps.workspaces.exceptions import RepositoryRefused
from apps.workspaces.models import Repository

from .repositories import belongings, git, make_bare, make_repository

pytestmark = pytest.mark.django_db
OPERATOR = Actor("user", "olga", Role.OPERATOR)


@pytest.fixture(autouse=True)
def _home(home):
    return home


def add(path, **overrides):
    return actions.add_repository(
        **({"path_or_url": str(path), "actor": OPERATOR, "now": timezone.now()} | overrides)
    )


def refusal(path, **overrides):
    with pytest.raises(RepositoryRefused) as refused:
        add(path, **overrides)
    assert not Repository.objects.exists()
    return str(refused.value)


def test_it_registers_a_checkout_with_its_current_branch(repository):
    before = belongings(repository)

    added = add(repository)

    assert (added.name, added.path, added.target, added.state) == (
        "project",
        str(repository),
        "main",
        "ready",
    )
    assert belongings(repository) == before


def test_the_event_names_the_actor(repository):
    added = add(repository)

    event = Event.objects.get()
    assert (event.kind, event.actor_kind, event.actor) == ("repository.added", "user", "olga")
    assert (event.topic, event.subject_id) == ("repository", added.pk)


def test_a_viewer_may_not(repository):
    with pytest.raises(NotAllowed, match="operator is needed"):
        add(repository, actor=Actor("user", "vera", Role.VIEWER))


def test_a_bare_repository_works(repository, tmp_path):
    bare = make_bare(tmp_path / "bare.git", repository)

    assert (add(bare).name, add(repository).name) == ("bare", "project")


def test_a_linked_worktree_works(repository, tmp_path):
    git(repository, "worktree", "add", "--quiet", "-b", "side", str(tmp_path / "side"))

    assert add(tmp_path / "side").target == "side"


@pytest.mark.parametrize(
    "name", ["with space", "-leading-dash", "--help", "ünïcödé", "家族", "a'b\"c", "semi;colon$(x)", "né́"]
)
def test_odd_names_of_directories_are_fine(tmp_path, name):
    path = make_repository(tmp_path / name)

    assert add(path).path == str(path)


def test_a_path_may_be_written_with_dots_and_links(repository, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(repository)
    monkeypatch.chdir(repository)

    assert add(".").name == "project"
    with pytest.raises(RepositoryRefused, match="registered already, as “project”"):
        add(tmp_path / "link" / ".." / "project")


@pytest.mark.parametrize("path", ["", "   ", "\0", "/srv/a\0b"])
def test_no_path_at_all_is_refused(path):
    assert "Give the path" in refusal(path)


@pytest.mark.parametrize(
    "path", ["/nowhere/at/all", "~nosuchuser/project", "x" * 5000, "/dev/null", "\udcff"]
)
def test_a_path_that_is_no_directory_is_refused(path):
    assert "is not a directory" in refusal(path)


def test_a_directory_that_is_no_repository_is_refused(tmp_path):
    (tmp_path / "plain").mkdir()

    assert "git init" in refusal(tmp_path / "plain")


def test_a_directory_inside_a_repository_is_refused(repository):
    (repository / "src").mkdir()

    assert "not the top of a git repository" in refusal(repository / "src")
    assert "not the top of a git repository" in refusal(repository / ".git")


def test_a_repository_without_a_commit_is_refused(tmp_path):
    assert "no commit yet" in refusal(make_repository(tmp_path / "empty", commit=False))
    assert "no commit yet" in refusal(make_repository(tmp_path / "bare", bare=True))


def test_a_detached_head_needs_a_target(repository):
    git(repository, "checkout", "--quiet", "--detach")

    assert "--target BRANCH" in refusal(repository)
    assert add(repository, target="main").target == "main"


@pytest.mark.parametrize("target", ["nosuch", "-d", "main\0", "a\nb", "x" * 300, "HEAD", "refs/heads/main"])
def test_a_target_that_is_no_branch_is_refused(repository, target):
    assert "--target BRANCH" in refusal(repository, target=target)


def test_a_line_break_in_the_path_is_refused(tmp_path):
    path = make_repository(tmp_path / "two\nlines")

    assert "line break" in refusal(path)


def test_a_link_to_a_path_with_a_line_break_is_refused(tmp_path):
    path = make_repository(tmp_path / "two\nlines")
    (tmp_path / "link").symlink_to(path)

    assert "line break" in refusal(tmp_path / "link")


def test_a_path_that_is_no_utf8_is_refused(tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(path)

    assert "no valid UTF-8" in refusal(os.fsdecode(path))


def test_git_s_distrust_of_another_owner_is_explained(repository, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")

    assert "safe.directory" in refusal(repository)


def test_a_repository_s_own_environment_does_not_lead_elsewhere(repository, tmp_path, monkeypatch):
    other = make_repository(tmp_path / "other", branch="elsewhere")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))

    assert add(repository).target == "main"


def test_one_name_is_given_once(repository, tmp_path):
    add(repository)
    other = make_repository(tmp_path / "elsewhere" / "project")

    with pytest.raises(RepositoryRefused, match="--name"):
        add(other)
    assert add(other, name="second").name == "second"


@pytest.mark.parametrize("name", ["-rf", "a/b", "..", "x" * 81, "a\0", "\udcff"])
def test_a_name_that_could_be_taken_for_something_else_is_refused(repository, name):
    assert "can't be a repository's name" in refusal(repository, name=name)


@pytest.mark.parametrize("url", ["ext://x", "fd://17", "C:\\x://y", "javascript://x"])
def test_other_transports_are_refused(url):
    assert "not a transport" in refusal(url)


@pytest.mark.parametrize(
    "url", ["https://example.org/a\nb", "https://example.org/\0", "https://example.org/" + "x" * 2000]
)
def test_a_url_that_is_none_is_refused(url):
    assert "no URL to clone" in refusal(url)


@pytest.mark.parametrize(
    "command", ["ext::sh -c 'touch pwned'", "--upload-pack=touch pwned", "-oProxyCommand=x"]
)
def test_no_command_hides_in_a_path(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert "is not a directory" in refusal(command)
    assert not (tmp_path / "pwned").exists()
