"""The web process starts no process: what needs one, such as git, is asked of a worker."""

import json
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from django.test import Client
from django.urls import get_resolver

from apps.access.actions import make_api_token
from apps.access.models import Membership
from apps.events.domain.actor import YARD, Role
from apps.waves.models import Wave
from apps.workspaces.models import Repository, WorkspaceState
from tests.controlplane.test_api import ENDPOINTS, make_alerts, make_builds, send
from tests.factories import make_user

STARTS = {
    *("subprocess.Popen", "os.posix_spawn", "os.fork", "os.forkpty", "os.exec", "os.system", "os.spawn"),
    "pty.spawn",
}
FORM = {
    "repository": "project",
    "preset": "command",
    "command": "true",
    "agents": "2",
    "step_size": "2",
    "pause_ms": "0",
    "restart_policy": "lost",
    "idempotency_key": "the-form-of-this-test",
}
watches: list[list[str]] = []  # what was started, in any thread, while each lasted


def hook(event: str, arguments: tuple[object, ...]) -> None:
    if event in STARTS:
        for found in watches:
            found.append(f"{event} {arguments[:2]}")


sys.addaudithook(hook)


@contextmanager
def nothing_starts():
    found: list[str] = []
    watches.append(found)
    try:
        yield
    finally:
        watches.remove(found)
    assert found == []


@pytest.fixture
def yard(waves, worker, redis_server, settings):
    """A wave with a failed agent, whose first agent has a workspace that can be read; Redis and a real worker."""
    settings.REDIS_URL = redis_server.url
    wave = waves.running(agents=3)
    waves.agents(wave).filter(name__endswith="3").update(state="failed")
    make_alerts()
    make_builds(wave)
    first = waves.agents(wave).order_by("pk").first()
    path = wave.repository.path
    type(first.workspace).objects.filter(pk=first.workspace.pk).update(path=path, state=WorkspaceState.READY)
    return wave


@pytest.fixture
def browser(db):
    client = Client()
    client.force_login(make_user("ada", Role.ADMIN))
    return client


def test_the_watch_sees_a_process_that_is_started():
    with pytest.raises(AssertionError, match=r"subprocess\.Popen"), nothing_starts():
        subprocess.run(["true"], check=True)


def pages_of(wave, agent):
    """The addresses of the console that are got, from its own list of them."""
    values = {"label": wave.label, "pk": agent.pk, "name": "menu"}
    resolver = get_resolver("apps.console.urls")
    for name in {name for name in resolver.reverse_dict if isinstance(name, str)}:
        (_, parameters), *_ = resolver.reverse_dict.getlist(name)[0][0]
        if set(parameters) <= set(values):
            yield name, "/" + resolver.reverse(name, **{one: values[one] for one in parameters})


def settled(browser, address):
    """The page once its worker has answered."""
    deadline = time.monotonic() + 60
    while "Reading the changes" in (html := browser.get(address).content.decode()):
        assert time.monotonic() < deadline, html
        time.sleep(0.2)
    return html


def test_it_shows_every_page(yard, browser):
    agent = yard.members.first().agent
    seen = {}

    with nothing_starts():
        for name, address in pages_of(yard, agent):
            seen[name] = browser.get(address).status_code
        changes = settled(browser, f"/agents/{agent.pk}/changes/")
        for name in ("/admin/", "/admin/workspaces/repository/", "/api/v1/docs", "/healthz/ready"):
            seen[name] = browser.get(name).status_code

    assert {"yard", "wave", "wave-new", "agent", "agent-changes", "repositories"} <= set(seen), seen
    assert set(seen.values()) <= {200, 302, 404, 405}, seen
    assert "Nothing is changed yet" in changes


def test_it_adds_a_repository_and_starts_a_wave(yard, browser, tmp_path):
    Repository.objects.create(name="other", path="/elsewhere", target="main")
    source = yard.repository.path
    Repository.objects.filter(pk=yard.repository.pk).update(path="/moved")

    with nothing_starts():
        refused = browser.post("/repositories/", {"path_or_url": str(tmp_path / "none")})
        added = browser.post("/repositories/", {"path_or_url": source, "name": "again"})
        plan = browser.post("/waves/new/plan", FORM | {"repository": "again"})
        started = browser.post("/waves/new/", FORM | {"repository": "again"})

    assert "is not a directory" in refused.content.decode()
    assert (added.status_code, started.status_code) == (302, 302)
    assert "all may start" in plan.content.decode()
    assert Wave.objects.filter(repository__name="again").exists()


def test_it_answers_every_call_of_the_api(yard):
    user = make_user("ada", Role.ADMIN)
    assert Membership.objects.get(user=user).role == Role.ADMIN
    token = make_api_token(user=user, name="test", role=Role.ADMIN, actor=YARD)
    headers = {"Authorization": f"Bearer {token}"}

    with nothing_starts():
        # Aborting comes last: little can be done to the wave after it.
        for method, path, body, _, status in sorted(ENDPOINTS, key=lambda one: one[1].endswith("/abort")):
            answer = send(Client(), method, path, body, yard, **headers)
            assert answer.status_code == status, (path, json.loads(answer.content))
