"""People who look at the console, and a home of the test's own."""

import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from django.test import Client

from apps.console import consumer
from apps.console.access import views as access_views
from apps.console.access.attempts import ADDRESS_LIMIT, LIMIT, Brake
from apps.console.agents import rows
from apps.console.builds import waits
from apps.console.spending import fragments as spending
from apps.console.spending.renewed import Renewed
from apps.events.domain.actor import Role
from tests.factories import make_user


@pytest.fixture(autouse=True)
def _of_this_test_alone(settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the web process remembers is forgotten between tests."""
    settings.SWARMYARD_HOME = tmp_path
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.MD5PasswordHasher"
    ]  # the real one takes its time
    settings.REDIS_URL = f"unix://{tmp_path / 'no-redis.sock'}"
    monkeypatch.setattr(access_views, "by_name", Brake("name", LIMIT))
    monkeypatch.setattr(access_views, "by_address", Brake("address", ADDRESS_LIMIT))
    monkeypatch.setattr(consumer, "pusher", None)
    monkeypatch.setattr(spending, "used", Renewed(spending.look_up))
    for window in waits.seen:
        monkeypatch.setitem(waits.seen, window, Renewed(partial(waits.look_up, window)))
    rows._rendered.clear()


@pytest.fixture
def client_of(db) -> Callable[[Role], Client]:
    """A browser in which a person with this role is signed in."""

    def signed_in(role: Role) -> Client:
        client = Client()
        client.force_login(make_user(f"{role.word}-person", role))
        return client

    return signed_in


@pytest.fixture
def viewer(client_of) -> Client:
    return client_of(Role.VIEWER)


@pytest.fixture
def operator(client_of) -> Client:
    return client_of(Role.OPERATOR)


@pytest.fixture
def admin(client_of) -> Client:
    return client_of(Role.ADMIN)


@pytest.fixture
def git(tmp_path: Path) -> Callable[..., str]:
    """git in a repository of its own with one commit; call it with git's arguments."""
    place = tmp_path / "checkout"
    place.mkdir()

    def run(*arguments: str) -> str:
        names = ["-c", "user.name=Ada", "-c", "user.email=ada@yard.example", "-c", "init.defaultBranch=main"]
        done = subprocess.run(
            ["git", "-C", str(place), *names, *arguments], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    run.place = place  # type: ignore[attr-defined]
    run("init", "-q")
    (place / "a.py").write_text("def f():\n    return 1\n")
    run("add", ".")
    run("commit", "-qm", "First")
    return run
