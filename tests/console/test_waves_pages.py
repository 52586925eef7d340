"""Planning a wave, starting it, steering it."""

import json
import re
import shutil
from datetime import UTC, datetime

import pytest

from apps.fleet.models import Desired, State
from apps.waves.models import Wave, WaveState
from tests.factories import make_host, make_member, make_repository, make_wave

pytestmark = pytest.mark.django_db

FORM = {
    "repository": "ingest",
    "preset": "drill",
    "prompt": "",
    "command": "",
    "agents": "8",
    "step_size": "3",
    "pause_ms": "10",
    "memory_budget_mb": "",
    "role": "",
    "restart_policy": "lost",
    "title": "",
    "idempotency_key": "the-form-of-this-test",
}


@pytest.fixture
def repository(git):
    make_host()
    return make_repository("ingest", path=str(git.place), target="main")


def preview(client, **changes: str) -> str:
    return client.post("/waves/new/plan", {**FORM, **changes}).content.decode()


def beside(html: str, field: str) -> str:
    """What the preview puts beside a field."""
    found = re.search(rf'id="problem-{field}"[^>]*>(.*?)</p>', html, re.DOTALL)
    assert found
    return found[1].strip()


def test_it_previews_steps_admission_and_start(operator, repository, git):
    html = preview(operator)

    assert "8 in 3 steps: 3, 3, 2" in html
    assert "all may start" in html
    assert git("rev-parse", "HEAD")[:10] in html


def test_it_says_how_many_may_start_now_and_what_the_rest_waits_for(operator, repository):
    make_host(memory_available=1_000_000_000)

    html = preview(operator, agents="100", memory_budget_mb="200")

    assert "of 100 may start; the next waits for memory" in html


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("agents", "0", "greater than or equal to 1"),
        ("agents", "-1", "greater than or equal to 1"),
        ("agents", "100001", "less than or equal to"),
        ("agents", "many", "whole number"),
        ("command", "'unclosed", "split into arguments"),
        ("command", "x\0y", "ull characters"),
    ],
)
def test_it_puts_what_is_wrong_beside_its_field(operator, repository, field, value, text):
    html = preview(operator, **{field: value})

    assert text in beside(html, field)


def test_it_lists_what_is_missing_without_crying_wolf(operator, repository):
    html = preview(operator, preset="command")

    assert "Still needed" in html
    assert "needs a command" in html
    assert beside(html, "command") == ""


def test_it_says_when_a_presets_program_isnt_installed(operator, repository, monkeypatch, tmp_path):
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "git").symlink_to(shutil.which("git"))
    monkeypatch.setenv("PATH", str(programs))

    html = preview(operator, preset="aider", prompt="Do it")
    page = operator.get("/waves/new/").content.decode()

    assert "is not installed" in html
    assert "not installed" in page


def test_it_starts_a_wave_and_goes_to_its_page(operator, repository):
    answer = operator.post("/waves/new/", {**FORM, "command": "--operations 3", "prompt": "Two\r\nlines"})

    wave = Wave.objects.get()
    assert answer["Location"] == f"/waves/{wave.label}/"
    assert wave.command == ["--operations", "3"]
    assert wave.prompt == "Two\nlines"
    assert (wave.size, wave.step_size, wave.created_by) == (8, 3, "operator-person")
    assert operator.get(f"/waves/{wave.label}/").status_code == 200


def test_it_starts_one_wave_when_the_button_is_pressed_twice(operator, repository):
    first = operator.post("/waves/new/", FORM)
    second = operator.post("/waves/new/", FORM)

    assert Wave.objects.count() == 1
    assert first["Location"] == second["Location"]


def test_it_shows_the_form_again_with_what_is_wrong(operator, repository):
    answer = operator.post("/waves/new/", {**FORM, "agents": "0", "title": "Keep me"})

    assert answer.status_code == 422
    assert "greater than or equal to 1" in answer.content.decode()
    assert 'value="Keep me"' in answer.content.decode()
    assert not Wave.objects.exists()


def test_it_refuses_a_repository_that_is_gone(operator, repository, git):
    repository.path = "/nowhere"
    repository.save()

    answer = operator.post("/waves/new/", FORM)

    assert answer.status_code == 422
    assert "is gone" in answer.content.decode()


def test_it_asks_for_a_repository_first(operator):
    assert "First a repository" in operator.get("/waves/new/").content.decode()


def do(client, wave: Wave, verb: str, **data: str) -> dict[str, str]:
    answer = client.post(f"/waves/{wave.label}/do/{verb}", data, headers={"HX-Request": "true"})
    return json.loads(answer["HX-Trigger"])["toast"]


def test_it_steers_a_wave(operator):
    make_host()
    wave = make_wave("w1", size=2)
    make_member(wave)
    make_member(wave, state="failed", workspace_path="/srv/w")

    assert do(operator, wave, "pause") == {"text": "w1 is paused.", "tone": "good"}
    assert do(operator, wave, "resume") == {"text": "w1 goes on.", "tone": "good"}
    assert do(operator, wave, "retry")["text"] == "1 agent of w1 starts again."
    assert do(operator, wave, "abort") == {"text": "w1 is being aborted.", "tone": "good"}
    wave.refresh_from_db()
    assert wave.state == WaveState.ABORTING


@pytest.mark.parametrize("size", ["", "x", "-3", "٣", "1e3"])
def test_it_refuses_a_size_that_is_no_number(operator, size):
    wave = make_wave("w1")

    assert do(operator, wave, "scale", size=size)["tone"] == "bad"


def test_it_scales_a_wave(operator, repository):
    operator.post("/waves/new/", FORM)
    wave = Wave.objects.get()

    assert do(operator, wave, "scale", size="10")["text"] == f"{wave.label} is scaled to 10 agents."
    wave.refresh_from_db()
    assert wave.size == 10


def test_it_says_why_it_refuses(operator):
    wave = make_wave("w1", state=WaveState.DONE)

    toast = do(operator, wave, "pause")

    assert toast["tone"] == "bad"
    assert "w1 is done" in toast["text"]


def test_it_shows_how_each_step_came_up(operator):
    make_host()
    wave = make_wave("w1", step_size=2, size=4)
    for state in ("busy", "failed", "planned", "planned"):
        make_member(wave, state=state)

    html = operator.get("/waves/w1/").content.decode()

    assert "1 up · 1 failed" in html
    assert "2 to start" in html


def test_it_shows_the_command_as_a_shell_would_take_it(operator):
    make_wave("w1", command=["sh", "-c", 'echo "a" >&2'])

    html = operator.get("/waves/w1/").content.decode()

    assert "<code>sh -c &#x27;echo &quot;a&quot; &gt;&amp;2&#x27;</code>" in html


def test_it_tells_the_stopped_from_those_that_ended_well(operator):
    wave = make_wave("w1", state=WaveState.DONE, ended_at=datetime.now(UTC))
    make_member(wave, state=State.EXITED)
    for desired in (Desired.STOPPED, Desired.KILLED):
        stopped = make_member(wave, state=State.EXITED, desired=desired)

    page = operator.get("/waves/w1/").content.decode()

    assert "1 ended well · 2 stopped" in operator.get("/live/wave_steps/?wave=w1").content.decode()
    assert "1 of 3 ended well, 2 stopped" in operator.get("/live/yard_finished/").content.decode()
    assert 'title="1 ended well, 2 stopped"' in page
    assert page.count("</span> stopped</td>") == 2
    assert "</span> stopped</span>" in operator.get(f"/agents/{stopped.pk}/").content.decode()
