"""The HTTP API: every endpoint, by session and by token, for every role, with one shape of refusal."""

import json
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.middleware.csrf import _get_new_csrf_string
from django.test import Client
from django.utils import timezone

from apps.access.actions import make_api_token, revoke_api_token
from apps.access.models import ApiToken, Membership
from apps.alerts.models import Rule, Silence
from apps.builds.actions import keep_recording
from apps.builds.domain.units import Recording
from apps.builds.models import Source
from apps.events.domain.actor import YARD, Role
from apps.events.models import Event
from apps.fleet.management.commands.agent import Command as AgentCommand
from apps.fleet.models import Agent, State
from apps.fleet.places import run_dir
from apps.lib import questions
from apps.lib.questions import NoAnswer
from apps.waves.management.commands.wave import Command as WaveCommand
from apps.workspaces.management.commands.repository import Command as RepositoryCommand
from controlplane.api import api
from tests.factories import make_alert, make_base, make_build, make_destination, make_rule

ALERT = BUILD = 9_000_001

WAVE = {"repository": "project", "preset": "command", "agents": 2, "command": ["true"]}
LIMITS = {"threshold": 90, "resolve_threshold": 80}
RULE = {"key": "new", "title": "New", "metric": "latency_p95", "scope": "agent", **LIMITS}
DESTINATION = {"name": "hook", "url": "json://127.0.0.1:9/hook"}
# method, path, body, lowest role, status
ENDPOINTS = [
    ("GET", "/waves", None, Role.VIEWER, 200),
    ("POST", "/waves", WAVE, Role.OPERATOR, 201),
    ("POST", "/waves/plan", WAVE, Role.OPERATOR, 200),
    ("GET", "/waves/{wave}", None, Role.VIEWER, 200),
    ("POST", "/waves/{wave}/pause", None, Role.OPERATOR, 200),
    ("POST", "/waves/{wave}/resume", None, Role.OPERATOR, 200),
    ("POST", "/waves/{wave}/abort", None, Role.OPERATOR, 200),
    ("POST", "/waves/{wave}/scale", {"agents": 4}, Role.OPERATOR, 200),
    ("POST", "/waves/{wave}/retry", None, Role.OPERATOR, 200),
    ("GET", "/agents", None, Role.VIEWER, 200),
    ("GET", "/agents/{pk}", None, Role.VIEWER, 200),
    ("GET", "/agents/{pk}/log", None, Role.VIEWER, 200),
    ("POST", "/agents/{pk}/{verb}", None, Role.OPERATOR, 200),
    ("GET", "/hosts", None, Role.VIEWER, 200),
    ("POST", "/hosts/{name}/drain", {"draining": True}, Role.OPERATOR, 200),
    ("GET", "/compiler-caches", None, Role.VIEWER, 200),
    ("POST", "/compiler-caches/{host}/clear", None, Role.OPERATOR, 204),
    ("GET", "/repositories", None, Role.VIEWER, 200),
    ("POST", "/repositories", {"path_or_url": "/nowhere"}, Role.OPERATOR, 409),
    ("GET", "/repositories/{name}", None, Role.VIEWER, 200),
    ("GET", "/builds", None, Role.VIEWER, 200),
    ("GET", "/builds/{pk}", None, Role.VIEWER, 200),
    ("GET", "/builds/waits-now", None, Role.VIEWER, 200),
    ("GET", "/builds/{pk}/analysis", None, Role.VIEWER, 200),
    ("GET", "/build-directories", None, Role.VIEWER, 200),
    ("GET", "/bases", None, Role.VIEWER, 200),
    ("POST", "/bases/{pk}/build", None, Role.OPERATOR, 202),
    ("GET", "/build-options/{name}", None, Role.VIEWER, 200),
    ("PATCH", "/build-options/{name}", {"slots": "off"}, Role.OPERATOR, 200),
    ("GET", "/events", None, Role.VIEWER, 200),
    ("GET", "/figures", None, Role.VIEWER, 200),
    ("GET", "/service-levels", None, Role.VIEWER, 200),
    ("GET", "/spending", None, Role.VIEWER, 200),
    ("GET", "/alerts", None, Role.VIEWER, 200),
    ("GET", "/alerts/watch", None, Role.VIEWER, 200),
    ("GET", "/alerts/{pk}", None, Role.VIEWER, 200),
    ("POST", "/alerts/{pk}/acknowledge", None, Role.OPERATOR, 200),
    ("POST", "/alerts/{pk}/silence", {"seconds": 3600}, Role.OPERATOR, 201),
    ("POST", "/alerts/{pk}/resolve", None, Role.OPERATOR, 200),
    ("GET", "/alerts/silences", None, Role.VIEWER, 200),
    ("POST", "/alerts/silences/{pk}/end", None, Role.OPERATOR, 200),
    ("GET", "/alerts/rules", None, Role.VIEWER, 200),
    ("POST", "/alerts/rules", RULE, Role.OPERATOR, 201),
    ("PATCH", "/alerts/rules/{key}", {"threshold": 250}, Role.OPERATOR, 200),
    ("POST", "/alerts/rules/{key}/reset", None, Role.OPERATOR, 200),
    ("DELETE", "/alerts/rules/{key}", None, Role.OPERATOR, 204),
    ("GET", "/alerts/destinations", None, Role.VIEWER, 200),
    ("POST", "/alerts/destinations", DESTINATION, Role.ADMIN, 201),
    ("POST", "/alerts/destinations/{pk}/test", None, Role.OPERATOR, 202),
    ("DELETE", "/alerts/destinations/{pk}", None, Role.ADMIN, 204),
]
every = pytest.mark.parametrize(
    ("method", "path", "body", "role", "status"), ENDPOINTS, ids=[f"{one[0]} {one[1]}" for one in ENDPOINTS]
)
WRITES = [one for one in ENDPOINTS if one[3] > Role.VIEWER]
every_write = pytest.mark.parametrize(
    ("method", "path", "body", "role", "status"), WRITES, ids=[f"{one[0]} {one[1]}" for one in WRITES]
)
DEEDS = [one for one in WRITES if one[1] != "/waves/plan"]  # which only tells what would be done
every_deed = pytest.mark.parametrize(
    ("method", "path", "body", "role", "status"), DEEDS, ids=[f"{one[0]} {one[1]}" for one in DEEDS]
)


@pytest.fixture
def wave(waves, redis_server):
    """One on which every verb makes sense that is tried."""
    wave = waves.running(agents=3)
    waves.agents(wave).filter(name__endswith="3").update(state=State.FAILED)
    make_alerts()
    make_builds(wave)
    return wave


def make_builds(wave):
    """A build with a recording, and a base of the same number."""
    keep_recording(
        build=make_build(pk=BUILD), recording=Recording(()), source=Source.TIMINGS, now=timezone.now()
    )
    make_base(wave.repository, pk=BUILD)


def make_alerts():
    """An alert, a silence and a destination of the same number, and a rule that isn't one of the yard's own."""
    rule = make_rule(key="slow")
    make_alert(rule=rule, pk=ALERT)
    times = {"begun_at": timezone.now(), "until": timezone.now() + timedelta(hours=1)}
    Silence.objects.create(pk=ALERT, rule=rule, subject_id=4, begun_by="ada", **times)
    make_destination(pk=ALERT)
    Rule.objects.create(**{**RULE, "key": "mine", "comparison": "above", "severity": "info"})


def person(role, name="olga"):
    user, _ = get_user_model().objects.get_or_create(username=name)
    Membership.objects.update_or_create(user=user, defaults={"role": role})
    return user


def token_of(role, **options):
    return make_api_token(user=person(role), name="test", role=role, actor=YARD, **options)


def url(path, wave):
    agent = wave.members.first().agent
    names = {"host": "local", "wave": wave.label, "verb": "stop", "key": "mine"}
    if path.endswith("/reset"):
        names["key"] = "slow"
    names["pk"] = ALERT if path.startswith(("/alerts", "/builds", "/bases")) else agent.pk
    names["name"] = "local" if path.startswith("/hosts") else "project"
    return "/api/v1" + path.format(**names)


def send(client, method, path, body, wave, **headers):
    if path.endswith("/resume"):
        type(wave).objects.update(state="paused")
    if path.endswith("/reset"):
        Rule.objects.filter(key="slow").update(threshold=99.0)
    options = {"content_type": "application/json"} if method != "GET" else {}
    data = json.dumps(body) if body is not None else None
    return client.generic(method, url(path, wave), data or "", headers=headers, **options)


def by_token(token):
    return {"Authorization": f"Bearer {token}"}


def signed_in(role):
    client = Client(enforce_csrf_checks=True)
    client.force_login(person(role))
    return client


def refused(answer, status):
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"].startswith("application/json")
    assert list(answer.json()) == ["error"]
    return answer.json()["error"]


def test_every_endpoint_is_tried_here():
    schema = api.get_openapi_schema()
    there = {(method.upper(), path) for path, methods in schema["paths"].items() for method in methods}

    assert there == {(method, f"/api/v1{path}") for method, path, *_ in ENDPOINTS}


@every
def test_nobody_gets_in_without_a_name(wave, method, path, body, role, status):
    events = Event.objects.count()

    told = refused(send(Client(enforce_csrf_checks=True), method, path, body, wave), 401)

    assert "Sign in" in told
    assert "Authorization: Bearer" in told
    assert Event.objects.count() == events


@every
def test_a_token_that_is_no_good_gets_nobody_in(wave, method, path, body, role, status):
    now = timezone.now()
    expired = token_of(Role.ADMIN, expires_at=now - timedelta(seconds=1))
    revoked = token_of(Role.ADMIN)
    revoke_api_token(token=ApiToken.objects.latest("pk"), actor=YARD, now=now)
    client = signed_in(Role.ADMIN)  # a session doesn't make up for it

    for token in (expired, revoked, "yard_unknown", "\udcff"):
        told = refused(send(client, method, path, body, wave, **by_token(token)), 401)
        assert "unknown, expired or revoked" in told


@every
def test_a_token_of_the_lowest_role_is_enough(wave, method, path, body, role, status):
    answer = send(Client(enforce_csrf_checks=True), method, path, body, wave, **by_token(token_of(role)))

    assert answer.status_code == status, answer.content


@every
def test_a_session_is_enough(wave, method, path, body, role, status):
    client = signed_in(role)
    client.cookies["csrftoken"] = secret = _get_new_csrf_string()

    answer = send(client, method, path, body, wave, **{"X-CSRFToken": secret})

    assert answer.status_code == status, answer.content


@every_write
def test_a_viewer_is_refused_and_nothing_changes(wave, method, path, body, role, status):
    token = token_of(Role.VIEWER)
    before = (Event.objects.count(), list(Agent.objects.values()))

    told = refused(send(Client(), method, path, body, wave, **by_token(token)), 403)

    assert f"the role {role.word} is needed" in told
    assert before == (Event.objects.count(), list(Agent.objects.values()))


@every_write
def test_a_session_without_the_csrf_token_changes_nothing(wave, method, path, body, role, status):
    client = signed_in(Role.ADMIN)
    before = (Event.objects.count(), list(Agent.objects.values()))

    told = refused(send(client, method, path, body, wave), 403)

    assert "CSRF" in told
    assert before == (Event.objects.count(), list(Agent.objects.values()))


@every_deed
def test_what_it_does_is_told_with_its_actor(wave, method, path, body, role, status):
    if status == 409:
        body = {"path_or_url": wave.repository.path, "name": "again"}
        wave.repository.path = "/elsewhere"
        wave.repository.save()
    token = token_of(role)
    seen = Event.objects.latest("id").pk

    send(Client(), method, path, body, wave, **by_token(token))

    news = Event.objects.filter(pk__gt=seen).exclude(actor_kind="yard")
    assert news.exists()
    assert set(news.values_list("actor", flat=True)) == {"olga (test)"}


def test_a_token_has_the_lower_role_of_its_own_and_its_owner_s(wave):
    token = token_of(Role.ADMIN)
    person(Role.VIEWER)  # olga was made a viewer since

    answer = send(Client(), "POST", "/waves/{wave}/pause", None, wave, **by_token(token))

    refused(answer, 403)


def test_a_token_whose_owner_may_do_nothing_any_more_is_no_good(wave):
    token = token_of(Role.ADMIN)
    get_user_model().objects.filter(username="olga").update(is_active=False)

    told = refused(send(Client(), "GET", "/waves", None, wave, **by_token(token)), 401)

    assert "no role any more" in told


def test_a_token_s_use_is_noted_about_once_a_minute(wave):
    token = token_of(Role.VIEWER)

    send(Client(), "GET", "/waves", None, wave, **by_token(token))
    first = ApiToken.objects.get().last_used_at
    send(Client(), "GET", "/waves", None, wave, **by_token(token))

    assert first
    assert ApiToken.objects.get().last_used_at == first


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "told"),
    [
        ("GET", "/waves/w99", None, 404, "no such thing"),
        ("GET", "/agents/99999999999999999999", None, 404, "no such thing"),
        ("GET", "/nowhere", None, 404, "no such thing"),
        ("POST", "/agents/1/explode", None, 422, "verb: Input should be 'pause', 'resume'"),
        ("POST", "/waves", {"repository": "project"}, 422, "body.preset: Field required"),
        ("POST", "/waves", WAVE | {"agents": "many"}, 422, "body.agents: Input should be a valid integer"),
        ("POST", "/waves", WAVE | {"agents": 0}, 409, "give 1 to 10000 agents"),
        ("POST", "/waves", WAVE | {"agents": 100_001}, 409, "give 1 to 10000 agents"),
        ("POST", "/waves", WAVE | {"preset": "nosuch"}, 409, "There is no preset “nosuch”"),
        ("POST", "/waves", WAVE | {"prompt": "\0"}, 409, "NUL"),
        ("POST", "/waves", WAVE | {"repository": "\0"}, 409, "add it first"),
        ("POST", "/waves", WAVE | {"idempotency_key": "x" * 101}, 422, "at most 100"),
        ("POST", "/waves/w1/resume", None, 409, "w1 is running: it can't be resumed now."),
        ("POST", "/repositories", {"path_or_url": "/nowhere"}, 409, "is not a directory"),
        ("PATCH", "/alerts/rules/slow", {"threshold": 10}, 409, "resolve threshold 90 lies above"),
        ("PATCH", "/alerts/rules/slow", {"metric": "error_rate"}, 422, "metric: Extra inputs"),
        ("PATCH", "/alerts/rules/slow", {"scope": "planet"}, 409, "there are none by “planet”"),
        ("PATCH", "/alerts/rules/slow", {"threshold": float("nan")}, 409, "must be a number from 0"),
        ("PATCH", "/alerts/rules/slow", {"for_seconds": 31_536_000}, 409, "which is a day"),
        ("POST", "/alerts/rules", RULE | {"key": "slow"}, 409, "change that one, or take another key"),
        ("POST", "/alerts/rules", RULE | {"key": ""}, 409, "1 to 60 small letters"),
        ("POST", "/alerts/rules", RULE | {"metric": "happiness"}, 409, "There is no metric “happiness”"),
        ("DELETE", "/alerts/rules/slow", None, 409, "switch it off instead"),
        ("POST", f"/alerts/{ALERT}/silence", {"seconds": 1}, 409, "from a minute to 30 days"),
        ("GET", "/alerts/4711", None, 404, "no such thing"),
        ("GET", f"/builds?agent={10**30}", None, 422, "agent: Input should be less"),
        ("GET", "/builds?wave=%00", None, 422, "wave: String should match"),
        ("GET", "/figures?window=2h", None, 422, "window: Input should be '1m'"),
        ("GET", "/figures?kind=planet", None, 422, "kind: Input should be 'wave'"),
        ("GET", "/figures?subject=planet:mars", None, 422, "subject: String should match"),
    ],
)
def test_every_refusal_has_one_shape(wave, method, path, body, status, told):
    data = json.dumps(body) if body is not None else ""

    answer = Client().generic(
        method,
        f"/api/v1{path}",
        data,
        content_type="application/json",
        headers=by_token(token_of(Role.OPERATOR)),
    )

    assert told in refused(answer, status)


def test_a_body_that_is_no_json_is_refused(wave):
    answer = Client().generic(
        "POST",
        "/api/v1/waves",
        "{",
        content_type="application/json",
        headers=by_token(token_of(Role.OPERATOR)),
    )

    assert "parse" in refused(answer, 400)


def test_what_nobody_foresaw_is_told_without_its_inside(wave, monkeypatch, caplog):
    monkeypatch.setattr("apps.waves.api.wave_data", lambda *arguments: 1 / 0)

    answer = send(
        Client(raise_request_exception=False), "GET", "/waves", None, wave, **by_token(token_of(Role.VIEWER))
    )

    assert "log of the web process" in refused(answer, 500)
    assert "division" not in answer.content.decode()
    assert "division by zero" in caplog.text


def test_the_same_key_again_gives_the_first_wave(waves):
    token = by_token(token_of(Role.OPERATOR))
    body = json.dumps(WAVE | {"idempotency_key": "k1"})

    first, again = (
        Client().post("/api/v1/waves", body, content_type="application/json", headers=token) for _ in range(2)
    )

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["id"] == again.json()["id"]


def test_a_log_is_read_in_pieces(wave):
    agent = wave.members.first().agent
    run_dir(agent).mkdir(parents=True)
    (run_dir(agent) / "segment").write_text("1000000\n")
    (run_dir(agent) / "out.1").write_bytes(b"<b>one</b>\n\xfftwo\n")
    read = f"/api/v1/agents/{agent.pk}/log"
    token = by_token(token_of(Role.VIEWER))

    whole = Client().get(read, headers=token).json()
    piece = Client().get(read, {"offset": 11, "limit": 3}, headers=token).json()

    assert whole == {"offset": 0, "next_offset": 16, "skipped": 0, "text": "<b>one</b>\n\ufffdtwo\n"}
    assert (piece["offset"], piece["next_offset"], piece["text"]) == (11, 14, "\ufffdtw")


def test_lists_are_bounded_and_filtered(waves, wave):
    token = by_token(token_of(Role.VIEWER))

    def get(path, **query):
        return Client().get(f"/api/v1{path}", query, headers=token).json()

    assert len(get("/agents", limit=2)) == 2
    assert len(get("/agents", limit=-5)) == 1
    assert [agent["state"] for agent in get("/agents", state="failed")] == ["failed"]
    assert get("/agents", wave="w99") == []
    assert len(get("/events", limit=1)) == 1
    newest = get("/events", limit=1)[0]["id"]
    assert all(event["id"] < newest for event in get("/events", before=newest))
    assert {event["kind"] for event in get("/events", kind="wave.")} == {"wave.started"}


def test_every_verb_of_the_command_line_is_there_too():
    schema = api.get_openapi_schema()["paths"]
    steer = schema["/api/v1/agents/{pk}/{verb}"]["post"]["parameters"]
    verbs = next(one for one in steer if one["name"] == "verb")["schema"]["enum"]
    offered = {
        "wave": {"start", "list", "show"} | {path.rpartition("/")[2] for path in schema if "/waves/" in path},
        "agent": {"list", "show", "log", *verbs},
        "repository": {"add", "list"},
    }

    for name, command in (("wave", WaveCommand), ("agent", AgentCommand), ("repository", RepositoryCommand)):
        assert subcommands(command, name) <= offered[name]


def subcommands(command, name):
    parser = command().create_parser("manage.py", name)
    return {choice for action in parser._actions if action.choices for choice in action.choices}


def test_health_is_open_to_probes(client, db, settings, tmp_path):
    assert client.get("/healthz/live").json() == {"status": "live"}

    settings.REDIS_URL = f"unix://{tmp_path}/no-redis.sock"
    answer = client.get("/healthz/ready")
    assert answer.status_code == 503
    assert "doesn't answer" in answer.json()["problems"]["redis"]


def test_ready_when_what_it_needs_answers(client, db, redis_server):
    assert client.get("/healthz/ready").json() == {"status": "ready", "problems": {}}


def test_a_busy_host_is_no_refusal(waves, monkeypatch):
    def busy(*arguments, **limits):
        raise NoAnswer("The workers of host.local are busy: try again in a moment.")

    monkeypatch.setattr(questions, "ask", busy)
    token = by_token(token_of(Role.OPERATOR))
    send_json = {"content_type": "application/json", "headers": token}

    for path, body in (("/repositories", {"path_or_url": "/nowhere"}), ("/waves", WAVE)):
        told = refused(Client().post(f"/api/v1{path}", json.dumps(body), **send_json), 503)
        assert "try again" in told
    plan = Client().post("/api/v1/waves/plan", json.dumps(WAVE), **send_json).json()
    assert "try again" in plan["errors"]["repository"]
