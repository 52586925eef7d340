"""The command line: exit codes 0, 1 and 2, one JSON document with --json, and every verb."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from apps.events.models import Event
from apps.fleet.models import Agent, State
from apps.fleet.places import run_dir
from apps.waves.models import Wave
from apps.workspaces.models import Repository
from controlplane.address import note_address, path
from tests.workspaces.repositories import make_repository

from .commands import run

ROOT = Path(__file__).parents[2]
START = ("wave", "start", "--repository", "project", "--preset", "command", "--agents", "2")


@pytest.fixture
def wave(waves):
    wave = waves.running(agents=3)
    waves.agents(wave).update(workspace_path="/workspace")
    waves.agents(wave).filter(name__endswith="3").update(state=State.FAILED)
    return wave


DONE = [
    ((*START, "--", "true"), "wave.started"),
    (("wave", "plan", *START[2:], "--", "true"), None),
    (("wave", "list"), None),
    (("wave", "list", "--all"), None),
    (("wave", "show", "w1"), None),
    (("wave", "show", "1"), None),
    (("wave", "pause", "w1"), "wave.paused"),
    (("wave", "abort", "w1"), "wave.aborted"),
    (("wave", "scale", "w1", "5"), "wave.scaled"),
    (("wave", "retry", "w1"), "wave.retried"),
    (("agent", "list"), None),
    (("agent", "list", "--wave", "w1", "--all"), None),
    (("agent", "show", "w1/agent-01"), None),
    (("agent", "log", "w1/agent-01"), None),
    (("agent", "log", "w1/agent-01", "--lines", "0"), None),
    (("agent", "pause", "w1/agent-01"), "agent.paused"),
    (("agent", "stop", "w1/agent-01"), "agent.stopped"),
    (("agent", "kill", "w1/agent-01"), "agent.killed"),
    (("agent", "restart", "w1/agent-01"), "agent.restarted"),
    (("repository", "list"), None),
]
REFUSED = [
    ((*START[:-1], "0", "--", "true"), "give 1 to 10000 agents"),
    ((*START[:-1], "-1", "--", "true"), "give 1 to 10000 agents"),
    ((*START[:-1], "100001", "--", "true"), "give 1 to 10000 agents"),
    (START, "needs a command"),
    ((*START, "--", "no-such-program"), "not installed"),
    ((*START, "--", "a\udcff"), "UTF-8"),
    ((*START, "--key", "x" * 101, "--", "true"), "at most 100"),
    ((*START[:3], "/nowhere", *START[4:], "--", "true"), "is not a directory"),
    ((*START[:3], "~nosuchuser/x", *START[4:], "--", "true"), "is not a directory"),
    ((*START[:5], "nosuch", *START[6:]), "There is no preset “nosuch”"),
    (("wave", "plan", *START[2:]), "needs a command"),
    (("wave", "show", "w99"), "There is no wave “w99”"),
    (("wave", "resume", "w1"), "w1 is running: it can't be resumed now."),
    (("wave", "scale", "w1", "0"), "give 1 to 10000"),
    (("agent", "show", "w1/agent-99"), "There is no agent"),
    (("agent", "show", "²"), "There is no agent"),
    (("agent", "show", "99999999999999999999"), "There is no agent"),
    (("agent", "resume", "w1/agent-01"), "there is nothing to resume"),
    (("repository", "add", "/nowhere"), "is not a directory"),
]
WRONG = [
    ("wave",),
    ("wave", "explode"),
    ("wave", "show"),
    ("wave", "scale", "w1", "many"),
    ("wave", "scale", "w1"),
    ("wave", "start", "--preset", "command", "--agents", "2"),
    (*START[:-1], "two"),
    (*START, "--restart", "always"),
    (*START, "--prompt", "a", "--prompt-file", "b"),
    (*START, "--prompt-file", "/nowhere"),
    ("agent", "log", "w1/agent-01", "--lines", "-3"),
    ("agent",),
    ("repository", "add"),
    ("repository", "list", "--unknown"),
]


@pytest.mark.parametrize(("argv", "kind"), DONE, ids=lambda value: " ".join(value) if value else "")
def test_what_is_done_ends_with_0_and_says_so(wave, argv, kind):
    ran = run(*argv)

    assert (ran.code, ran.err) == (0, "")
    if argv[1] != "log":
        assert ran.out.strip()
    if kind:
        event = Event.objects.latest("id")
        assert (event.kind, event.actor_kind) == (kind, "shell")


@pytest.mark.parametrize(("argv", "kind"), DONE, ids=lambda value: " ".join(value) if value else "")
def test_with_json_it_is_exactly_one_document(wave, argv, kind):
    ran = run(*argv[:2], "--json", *argv[2:])

    assert (ran.code, ran.err) == (0, "")
    assert ran.document is not None


@pytest.mark.parametrize(("argv", "told"), REFUSED, ids=lambda value: None)
def test_what_is_refused_ends_with_1_and_the_reason(wave, argv, told):
    events = Event.objects.count()

    ran = run(*argv)

    assert ran.code == 1
    assert told in ran.err
    assert ran.out == ""
    assert Event.objects.count() == events


@pytest.mark.parametrize(("argv", "told"), REFUSED, ids=lambda value: None)
def test_a_refusal_is_one_json_document_too(wave, argv, told):
    ran = run(*argv[:2], "--json", *argv[2:])

    assert ran.code == 1
    assert list(ran.document) == ["error"]
    assert told in ran.document["error"]


@pytest.mark.parametrize("argv", WRONG, ids=" ".join)
def test_wrong_usage_ends_with_2(wave, argv):
    ran = run(*argv)

    assert ran.code == 2
    assert "usage:" in ran.err
    assert ran.out == ""


def test_a_prompt_that_is_no_text_is_refused(waves, tmp_path):
    (tmp_path / "prompt").write_bytes(b"caf\xe9")

    ran = run(*START, "--prompt-file", str(tmp_path / "prompt"), "--", "true")

    assert ran.code == 1
    assert "is no UTF-8 text" in ran.err


def test_a_prompt_of_a_gigabyte_is_refused_before_it_is_read(waves, tmp_path):
    with (tmp_path / "prompt").open("wb") as file:
        file.truncate(2**30)

    ran = run(*START, "--prompt-file", str(tmp_path / "prompt"), "--", "true")

    assert ran.code == 1
    assert "at most 1000000" in ran.err


def test_a_wave_is_started_as_asked(waves, source, tmp_path):
    prompt = tmp_path / "prompt.md"
    prompt.write_text("do it ✓\n")

    ran = run(
        *("wave", "start", "--json", "--repository", str(source), "--preset", "command", "--agents", "3"),
        *("--wave-size", "2", "--pause-ms", "50", "--prompt-file", str(prompt), "--role", "reviewer"),
        *("--memory-mb", "100", "--restart", "failure", "--title", "Try", "--key", "k1"),
        *("--", "sh", "-c", "echo --json -- x"),
    )

    assert ran.document["command"] == ["sh", "-c", "echo --json -- x"]
    wave = Wave.objects.get(label=ran.document["wave"])
    assert (wave.size, wave.step_size, wave.pause_ms, wave.prompt) == (3, 2, 50, "do it ✓\n")
    assert (wave.role, wave.memory_budget_mb, wave.restart_policy) == ("reviewer", 100, "failure")
    assert (wave.title, wave.idempotency_key, wave.repository) == ("Try", "k1", waves.repository)


def test_a_repository_is_registered_on_the_way(waves, tmp_path):
    other = make_repository(tmp_path / "other")

    ran = run(*START[:2], "--json", "--repository", str(other), *START[4:], "--", "true")

    assert ran.document["repository"] == "other"
    assert "“other” is registered now" in ran.err


def test_a_repository_is_not_registered_for_a_wave_that_cannot_be(waves, tmp_path):
    other = make_repository(tmp_path / "other")

    ran = run(*START[:3], str(other), *START[4:-1], "0", "--", "true")

    assert ran.code == 1
    assert Repository.objects.count() == 1


def test_a_repository_is_added_with_name_and_target(waves, tmp_path):
    other = make_repository(tmp_path / "-other", branch="trunk")

    ran = run("repository", "add", "--json", "--name", "second", "--target", "trunk", str(other))

    assert (ran.document["name"], ran.document["target"], ran.document["path"]) == (
        "second",
        "trunk",
        str(other),
    )


def test_a_log_is_printed_as_it_is(wave):
    agent = Agent.objects.get(name="w1/agent-01")
    run_dir(agent).mkdir(parents=True)
    (run_dir(agent) / "segment").write_text("1000000\n")
    (run_dir(agent) / "out.1").write_bytes(b"one\n\xfftwo\nthree\n")

    whole, tail = (
        run("agent", "log", agent.name),
        run("agent", "log", "--json", agent.name, "--lines", "2"),
    )

    assert whole.raw == b"one\n\xfftwo\nthree\n"
    assert tail.document == {"agent": agent.name, "offset": 4, "log": "\ufffdtwo\nthree\n"}


# As a process of its own: what only shows from outside


def manage(home, *argv, **environment):
    env = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *argv],
        env=env | {"SWARMYARD_HOME": str(home)} | environment,
        capture_output=True,
        timeout=60,
    )


def test_before_the_database_is_set_up_it_says_what_to_do(tmp_path):
    plain, as_json = manage(tmp_path, "wave", "list"), manage(tmp_path, "wave", "list", "--json")

    assert (plain.returncode, plain.stdout) == (1, b"")
    assert b"manage.py migrate" in plain.stderr
    assert b"Traceback" not in plain.stderr
    assert as_json.returncode == 1
    assert "manage.py migrate" in json.loads(as_json.stdout)["error"]


@pytest.mark.slow
def test_a_process_tells_by_its_exit_code(tmp_path):
    assert manage(tmp_path, "migrate", "--verbosity", "0").returncode == 0

    refused, wrong, done = (
        manage(tmp_path, "wave", "show", "w1"),
        manage(tmp_path, "wave", "shown"),
        manage(tmp_path, "agent", "list", "--json"),
    )

    assert (refused.returncode, wrong.returncode, done.returncode) == (1, 2, 0)
    assert (refused.stdout, wrong.stdout, json.loads(done.stdout)) == (b"", b"", [])
    assert b"There is no wave" in refused.stderr


def test_a_sign_in_link_leads_to_where_the_yard_ran_last(db, home):
    first = run("signin")
    note_address("http://127.0.0.1:8791")

    assert first.out.startswith("http://127.0.0.1:8000/sign-in/link/")
    assert run("signin").out.startswith("http://127.0.0.1:8791/sign-in/link/")
    assert run("signin", "--address", "https://yard.example/").out.startswith("https://yard.example/sign-in/")


def test_a_home_that_takes_no_address_is_no_reason_not_to_start(db, home, caplog):
    (home / path().name).mkdir()

    note_address("http://127.0.0.1:8791")

    assert "will name another address" in caplog.text
