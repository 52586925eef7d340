"""Where a build's time went, on its page; and how an operator adds a recording."""

import json
from html import unescape

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from apps.builds.actions import keep_recording
from apps.builds.domain.units import Recording, Unit
from apps.builds.models import BuildRecording, Source
from apps.console.builds import views
from apps.events.models import Event
from tests.builds.test_builds_command import SLOW, artifact
from tests.factories import make_agent, make_build, make_host, now

pytestmark = pytest.mark.django_db

CORE = Unit(0, "core", "1.0.0", start=0, duration=8, unblocks=(1,))
APP = Unit(1, "app<b>", "0.1.0", "bin app", start=8, duration=2)
OLD = Unit(2, "core", "0.9.0", start=0, duration=3)


@pytest.fixture
def build():
    return make_build(make_agent(host=make_host(usable_cpus=4.0)))


def keep(build, *units: Unit, **more) -> None:
    recording = Recording(units, **more)
    keep_recording(build=build, recording=recording, source=Source.TIMINGS, now=now())


def words_of(client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().replace("\u202f", " ").split())


def data_in(html: str) -> dict:
    return json.loads(unescape(html.split('data-build="')[1].split('"')[0]))


def test_it_tells_path_slowest_duplicates_and_what_would_help(viewer, build):
    keep(build, CORE, APP, OLD, cpu=((0.0, 0.5),))

    page = words_of(viewer, f"/builds/{build.pk}/analysis/")

    assert "core v1.0.0 is 80 % of the critical path" in page
    assert "1.3 units on average, 4 cores" in page
    assert "0.9.0, 1.0.0" in page
    data = data_in(page)
    assert [(unit[0], unit[3]) for unit in data["units"]] == [
        ("core v1.0.0", 1),
        ("core v0.9.0", 0),
        ("app<b> v0.1.0 bin app", 1),
    ]
    assert (data["cores"], data["end"], data["cpu"]) == (4, 10, [[0.0, 2.0]])
    assert "app<b>" not in page


def test_the_build_leads_to_it_once_there_is_one(viewer, build):
    address = f"/builds/{build.pk}/analysis/"
    assert address not in words_of(viewer, f"/builds/{build.pk}/")
    assert viewer.get(address).status_code == 404

    keep(build, CORE)

    assert address in words_of(viewer, f"/builds/{build.pk}/")


def test_without_a_graph_it_makes_up_no_path(viewer, build):
    keep(build, CORE, APP, has_graph=False)

    page = words_of(viewer, f"/builds/{build.pk}/analysis/")

    assert "Critical path" not in page
    assert 'id="running"' not in page
    assert "since the one before" in page


def test_it_shows_the_longest_of_many_units(viewer, build):
    keep(build, *(Unit(number, f"unit-{number}", start=0, duration=number) for number in range(500)))

    page = words_of(viewer, f"/builds/{build.pk}/analysis/")

    assert "the 120 longest of 500" in page
    assert len(data_in(page)["units"]) == 120


def test_a_build_that_had_nothing_to_do_has_a_page_too(viewer, build):
    keep(build, fresh=12)

    assert "<dd> 12 </dd>" in words_of(viewer, f"/builds/{build.pk}/analysis/")


def add(client, build, content: str | bytes, **headers):
    data = content.encode() if isinstance(content, str) else content
    file = SimpleUploadedFile("cargo-timing.html", data)
    return client.post(f"/builds/{build.pk}/record", {"recording": file}, follow=True, headers=headers)


def test_an_operator_adds_one(operator, build):
    answer = add(operator, build, SLOW)

    assert "has a recording now" in answer.content.decode()
    kept = BuildRecording.objects.get(build=build)
    assert (kept.source, kept.given_by) == ("timings", "operator-person")
    event = Event.objects.get(kind="build.recorded")
    assert (event.actor, event.subject_id) == ("operator-person", build.pk)
    assert f'href="/builds/{build.pk}/"' in operator.get("/events/").content.decode()


def test_messages_with_their_times_are_taken_as_well(operator, build):
    add(operator, build, f"1.5 {artifact('serde')}\n2.0 {artifact('app')}\n")

    assert BuildRecording.objects.get().source == "messages"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "Choose a file"),
        ("<html></html>", "no UNIT_DATA"),
        ("hello", "no message of cargo"),
        (artifact("serde"), "no times"),
        (b"\xff" * 64, "no message of cargo"),
        ("x" * 2000, "more than 8 MB"),
    ],
)
def test_what_is_no_recording_is_refused(operator, build, monkeypatch, content, told):
    monkeypatch.setattr(views, "LARGEST_FILE", 1500)

    answer = add(operator, build, content)

    assert told in unescape(answer.content.decode())
    assert not BuildRecording.objects.exists()


def test_a_viewer_adds_none(viewer, build):
    assert 'name="recording"' not in words_of(viewer, f"/builds/{build.pk}/")

    assert add(viewer, build, SLOW).status_code == 403
    assert not BuildRecording.objects.exists()
