"""Repositories that are registered by URL: a job clones them, once, whole or not at all."""

import time
from datetime import timedelta

import pytest
from django.utils import timezone

from apps.capacity import leases
from apps.events.domain.actor import Actor, Role
from apps.events.models import Event
from apps.workspaces import actions, cloning, git
from apps.workspaces.exceptions import GitFailed, RepositoryRefused
from apps.workspaces.jobs import clone_job
from apps.workspaces.serial import repository_data

from .repositories import git as run_git
from .repositories import make_repository

pytestmark = pytest.mark.django_db
OPERATOR = Actor("user", "olga", Role.OPERATOR)


@pytest.fixture(autouse=True)
def _home(home):
    return home


@pytest.fixture
def queued(monkeypatch):
    """Jobs that were given out, in the place of a worker's queue."""
    found = []
    monkeypatch.setattr(
        actions, "enqueue", lambda queue, door, *arguments: found.append((queue, door, *arguments))
    )
    return found


def add(url, **overrides):
    fields = {"path_or_url": url, "actor": OPERATOR, "now": timezone.now()}
    return actions.add_repository(**(fields | overrides))


def cloned(repository):
    clone_job(repository.pk)
    repository.refresh_from_db()
    return repository


def test_it_clones_by_a_job(repository, home, queued):
    added = add(f"file://{repository}")
    assert (added.name, added.state, added.path) == ("project", "cloning", f"{home}/repositories/project.git")
    assert queued == [("io", "apps.workspaces.jobs.clone_job", added.pk)]

    cloned(added)

    assert (added.state, added.problem, added.target) == ("ready", "", "main")
    assert run_git(added.path, "rev-parse", "main") == run_git(repository, "rev-parse", "main")
    assert [event.kind for event in Event.objects.order_by("id")] == ["repository.added", "repository.ready"]


def test_it_takes_the_target_that_was_named(repository):
    run_git(repository, "branch", "release")

    assert cloned(add(f"file://{repository}", target="release")).target == "release"


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda path: path.mkdir(), "does not appear to be a git repository"),
        (lambda path: make_repository(path, commit=False), "no commit yet"),
        (lambda path: None, "does not appear to be a git repository"),
    ],
    ids=["no repository", "empty", "absent"],
)
def test_what_cannot_be_cloned_fails_with_the_reason(tmp_path, make, told):
    make(tmp_path / "source")

    added = cloned(add(f"file://{tmp_path}/source"))

    assert added.state == "failed"
    assert told in added.problem
    assert Event.objects.filter(kind="repository.failed").count() == 1


def test_a_target_that_the_clone_lacks_fails_it(repository):
    added = cloned(add(f"file://{repository}", target="nosuch"))

    assert added.state == "failed"
    assert "no branch “nosuch”" in added.problem


def test_one_that_failed_can_be_asked_for_again(tmp_path, queued):
    url = f"file://{tmp_path}/later"
    added = cloned(add(url))
    make_repository(tmp_path / "later")
    queued.clear()

    again = add(url)

    assert (again.pk, again.state, queued) == (
        added.pk,
        "cloning",
        [("io", "apps.workspaces.jobs.clone_job", added.pk)],
    )
    assert cloned(again).state == "ready"


def test_one_that_is_there_is_not_registered_twice(repository):
    cloned(add(f"file://{repository}"))

    with pytest.raises(RepositoryRefused, match="--name"):
        add(f"file://{repository}")


def test_a_job_that_comes_again_changes_nothing(repository):
    added = cloned(add(f"file://{repository}"))
    events = Event.objects.count()

    cloned(added)

    assert (added.state, Event.objects.count()) == ("ready", events)


def test_a_clone_that_was_cut_off_starts_anew(repository, home):
    added = add(f"file://{repository}")
    half = home / "repositories" / "project.git.partial"
    half.mkdir(parents=True)
    (half / "HEAD").write_text("ref: refs/heads/main\n")

    assert cloned(added).state == "ready"
    assert not half.exists()


def test_a_clone_that_was_cut_off_before_it_was_recorded_is_taken(repository, monkeypatch):
    added = add(f"file://{repository}")
    cloning.clone_files(added)
    monkeypatch.setattr(git, "clone", lambda *arguments: pytest.fail("it is there already"))

    assert cloned(added).state == "ready"


def test_something_else_in_its_place_is_left_alone(repository, home):
    (home / "repositories" / "project.git").mkdir(parents=True)
    (home / "repositories" / "project.git" / "precious").write_text("x")

    added = cloned(add(f"file://{repository}"))

    assert added.state == "failed"
    assert "remove it first" in added.problem
    assert (home / "repositories" / "project.git" / "precious").exists()


def test_one_job_at_a_time_clones(repository, monkeypatch):
    added = add(f"file://{repository}")
    leases.acquire(name=cloning.lease_of(added), holder="another", now=timezone.now(), seconds=30)
    monkeypatch.setattr(git, "clone", lambda *arguments: pytest.fail("another is at it"))

    assert cloned(added).state == "cloning"


def test_the_sweep_gives_out_again_what_was_lost(repository, queued):
    added = add(f"file://{repository}")
    queued.clear()
    now = timezone.now()

    cloning.resume_clones(now)
    assert queued == []  # it may still wait for a worker

    later = now + timedelta(seconds=actions.GIVEN_SECONDS + 1)
    cloning.resume_clones(later)
    cloning.resume_clones(later)
    assert queued == [("io", "apps.workspaces.jobs.clone_job", added.pk)]


def test_the_sweep_leaves_a_clone_alone_that_is_under_way(repository, queued):
    added = add(f"file://{repository}")
    queued.clear()
    later = timezone.now() + timedelta(seconds=actions.GIVEN_SECONDS + 1)
    leases.acquire(name=cloning.lease_of(added), holder="a worker", now=later, seconds=30)

    cloning.resume_clones(later)

    assert queued == []


def test_a_clone_that_is_cut_off_each_time_fails_in_the_end(repository):
    added = add(f"file://{repository}")
    for number in range(cloning.ATTEMPTS):
        leases.acquire(name=cloning.lease_of(added), holder=str(number), now=timezone.now(), seconds=0)

    cloned(added)

    assert added.state == "failed"
    assert "cut off 5 times" in added.problem


def test_a_lease_is_kept_while_git_works(repository, monkeypatch):
    added = add(f"file://{repository}")
    monkeypatch.setattr(cloning, "RENEW_SECONDS", 0.01)
    monkeypatch.setattr(cloning, "LEASE_SECONDS", 0.5)
    held, clone = [], git.clone

    def slow_clone(*arguments):
        time.sleep(1)  # twice as long as a lease lasts
        clone(*arguments)

    monkeypatch.setattr(git, "clone", slow_clone)
    original = leases.acquire

    def noted(**options):
        held.append(original(**options))
        return held[-1]

    monkeypatch.setattr(leases, "acquire", noted)

    assert cloned(added).state == "ready"
    assert len(held) > 10
    assert set(held) == {1}


def test_a_password_in_a_url_is_shown_to_nobody(monkeypatch):
    def refused(url, path):
        raise GitFailed("fatal: unable to access 'https://example.org/x.git/'")

    monkeypatch.setattr(git, "clone", refused)
    added = cloned(add("https://ada:s3cret@example.org/x.git"))

    assert "s3cret" in added.url  # it is what git needs
    assert "s3cret" not in repr(repository_data(added))
    assert "s3cret" not in repr(list(Event.objects.values()))


def test_nor_when_git_says_it(caplog):
    """A local server's address, as nothing listens there: git answers at once, and names the URL."""
    added = cloned(add("http://ada:s3cret@127.0.0.1:1/x.git?token=s3cret"))

    assert added.state == "failed"
    assert "127.0.0.1:1/x.git" in added.problem
    assert "s3cret" not in added.problem
    assert "s3cret" not in repr(list(Event.objects.values()))
    assert "s3cret" not in caplog.text
