"""Every address of the console, found in its URL configuration, against every kind of person."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import get_resolver

from apps.alerts.models import Silence
from apps.builds.actions import keep_recording
from apps.builds.domain.units import Recording
from apps.builds.models import Source
from tests.factories import (
    make_agent,
    make_alert,
    make_base,
    make_build,
    make_destination,
    make_event,
    make_host,
    make_member,
    make_repository,
    make_wave,
    now,
)

pytestmark = pytest.mark.django_db

PK = 9_000_001  # far above what the database hands out by itself
OPEN_TO_ALL = {"sign-in", "sign-in-link", "sign-out", "favicon"}
ACTIONS = {"wave-do": ["pause", "resume", "abort", "scale", "retry"], "host-do": ["drain", "open"]}
ACTIONS["agent-do"] = ["pause", "resume", "stop", "kill", "restart"]
ACTIONS["alert-do"] = ["acknowledge", "resolve", "silence-1h", "silence-8h"]
ACTIONS["alert-rule-do"] = ["edit", "on", "off", "remove", "silence"]
ACTIONS["alert-destination-do"] = ["test", "on", "off", "remove"]
ACTIONS |= {"alert-rule-new": ["new"], "alert-silence-end": ["end"], "build-record": ["record"]}
ACTIONS |= {"build-base-now": ["build"], "build-cache-clear": ["clear"], "repository-option": ["slots"]}
FORMS = ["/waves/new/", "/waves/new/plan", "/repositories/"]


def console_patterns(resolver=None, prefix=""):
    for pattern in (resolver or get_resolver("apps.console.urls")).url_patterns:
        route = prefix + str(pattern.pattern)
        if hasattr(pattern, "url_patterns"):
            yield from console_patterns(pattern, route)
        else:
            yield pattern.name, route


def address(route: str, verb: str = "pause") -> str:
    values = {
        "pk": str(PK),
        "label": "w1",
        "verb": verb,
        "name": "menu",
        "token": "x",
        "key": "slow",
        "option": "slots",
    }
    return "/" + re.sub(r"<(?:\w+:)?(\w+)>", lambda found: values[found[1]], route)


PAGES = sorted(
    (name, route) for name, route in console_patterns() if name not in OPEN_TO_ALL and name not in ACTIONS
)
DEEDS = sorted(
    address(route, verb) for name, route in console_patterns() if name in ACTIONS for verb in ACTIONS[name]
)


@pytest.fixture(autouse=True)
def _rows(db):
    make_host(pk=PK)
    wave = make_wave("w1", repository=make_repository("ingest", pk=PK))
    make_base(pk=PK)
    make_member(wave, pk=PK)
    make_event()
    alert = make_alert("slow", pk=PK)
    make_destination(pk=PK)
    build = make_build(pk=PK)
    keep_recording(build=build, recording=Recording(()), source=Source.TIMINGS, now=now())
    until = now() + timedelta(hours=1)
    Silence.objects.create(pk=PK, rule=alert.rule, begun_by="ada", begun_at=now(), until=until)


def test_it_knows_all_addresses():
    names = {name for name, _ in console_patterns()}

    assert {
        "yard",
        "waves",
        "wave",
        "wave-new",
        "agents",
        "agent",
        "builds",
        "build",
        "repositories",
        "hosts",
        "service-levels",
        "events",
        "alerts",
        "alert",
    } <= names
    assert len(DEEDS) == 31


@pytest.mark.parametrize(("name", "route"), PAGES)
def test_it_sends_whoever_isnt_signed_in_to_the_sign_in_page(name, route):
    method = Client().post if name == "wave-plan" else Client().get

    answer = method(address(route))

    assert answer.status_code == 302
    assert answer["Location"].startswith("/sign-in?next=")


@pytest.mark.parametrize("deed", DEEDS + FORMS)
def test_it_does_nothing_for_whoever_isnt_signed_in(deed):
    answer = Client().post(deed)

    assert answer.status_code == 302
    assert answer["Location"].startswith("/sign-in?next=")


def test_it_tells_a_script_that_it_is_signed_out_by_a_header():
    answer = Client().get("/live/menu/", headers={"HX-Request": "true"})

    assert answer.status_code == 401
    assert answer["HX-Redirect"] == "/sign-in"


@pytest.mark.parametrize(
    ("name", "route"), [page for page in PAGES if page[0] not in ("wave-new", "wave-plan")]
)
def test_it_shows_a_viewer_every_page_but_the_form(viewer, name, route):
    assert viewer.get(address(route)).status_code == 200


@pytest.mark.parametrize("deed", DEEDS + FORMS)
def test_it_refuses_a_viewer_every_action(viewer, deed):
    answer = viewer.post(deed, headers={"HX-Request": "true"})

    assert answer.status_code == 403
    assert "the role operator is needed" in answer["HX-Trigger"]


@pytest.mark.parametrize("deed", DEEDS + FORMS)
def test_it_refuses_a_viewers_plain_form_with_a_page_that_says_why(viewer, deed):
    answer = viewer.post(deed)

    assert answer.status_code == 403
    assert "the role operator is needed" in answer.content.decode()


def test_it_refuses_a_viewer_the_form_for_waves(viewer):
    assert viewer.get("/waves/new/").status_code == 403


@pytest.mark.parametrize(
    ("name", "route"), [page for page in PAGES if page[0] not in ("wave-new", "wave-plan")]
)
def test_it_shows_a_viewer_no_button_that_would_be_refused(viewer, name, route):
    page = viewer.get(address(route)).getvalue().decode()

    assert "hx-post" not in page
    assert "data-menu" not in page
    assert "New wave" not in page


@pytest.mark.parametrize("deed", DEEDS)
def test_it_acts_by_post_alone(operator, deed):
    assert operator.get(deed).status_code == 405


@pytest.mark.parametrize("deed", DEEDS + FORMS)
def test_it_refuses_a_post_without_the_csrf_token(operator, deed):
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = operator.cookies

    assert strict.post(deed).status_code == 403


@pytest.mark.parametrize(("name", "route"), PAGES)
def test_it_shows_a_person_without_a_role_nothing(name, route):
    from tests.factories import make_user

    client = Client()
    client.force_login(make_user("nobody", None))
    method = client.post if name == "wave-plan" else client.get

    assert method(address(route)).status_code == 403


@pytest.mark.parametrize(
    "path", ["/agents/999/", "/builds/999/", "/waves/w999/", "/live/nothing/", "/live/agent_head/?pk=999"]
)
def test_it_answers_404_for_what_isnt_there(operator, path):
    response = operator.get(path)

    assert response.status_code == 404
    assert "To the yard" in response.content.decode()


@pytest.mark.parametrize(
    "path", [f"/agents/{PK}/do/eat", "/waves/w1/do/eat", f"/hosts/{PK}/do/eat", f"/alerts/{PK}/do/eat"]
)
def test_it_answers_404_for_a_verb_it_doesnt_know(operator, path):
    assert operator.post(path).status_code == 404


def test_it_says_in_its_own_words_that_a_form_wasnt_taken(client):
    strict = Client(enforce_csrf_checks=True)

    said = strict.post("/sign-in", {"username": "a", "password": "b"}).content.decode()

    assert "Nothing was changed" in said
    assert "To the yard" in said


def test_it_says_in_its_own_words_that_it_broke(operator, monkeypatch):
    monkeypatch.setattr("apps.console.hosts.views.page", lambda *_: 1 / 0)
    operator.raise_request_exception = False

    said = operator.get("/hosts/")

    assert said.status_code == 500
    assert "Agents work on" in said.content.decode()


def test_it_leaves_the_api_and_the_probes_to_their_own_locks(client):
    assert client.get("/healthz/live").status_code == 200
    assert client.get("/api/v1/agents").status_code == 401


def test_it_keeps_agents_of_other_groups_out_of_the_way(operator):
    make_agent("w2/agent-01")

    page = operator.get("/agents/?wave=w1").content.decode()

    assert "w1/agent-01" in page
    assert "w2/agent-01" not in page
