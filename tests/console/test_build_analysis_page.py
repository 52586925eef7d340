"""Where a build's time went, on its page; and how an operator adds a recording."""

import json
from html import unescape

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from apps.builds.actions import keep_recording
from apps.builds.domain.units import Rebuild, Recording, Unit
from apps.builds.models import BuildRecording, Source
from apps.builds.recordings import decoded
from apps.console.builds import unit_graph, views
from apps.events.models import Event
from tests.builds.test_builds_command import SLOW, artifact
from tests.builds.test_rebuilds import LOG
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

    assert "<dd> 12, 100 % of all </dd>" in words_of(viewer, f"/builds/{build.pk}/analysis/")


def test_it_draws_what_waited_for_what(viewer, build):
    keep(build, CORE, APP, OLD)

    page = words_of(viewer, f"/builds/{build.pk}/analysis/")

    assert "<title>core v1.0.0: 8.0 s, from 0 on</title>" in page
    assert page.count('class="edge"') == 3
    assert page.count('<path class="path"') == 1
    assert "others between" not in page


@pytest.mark.parametrize(
    ("unit", "word"),
    [
        (Unit(0, "serde", "1.0.0"), "serde"),
        (Unit(0, "app", "1.0.0", 'app "bin"'), 'app "bin"'),
        (Unit(0, "part-of-a-long-workspace-07", "1.0.0"), "part-of…workspace-07"),
    ],
)
def test_a_box_has_a_short_word_for_its_unit(unit, word):
    assert unit_graph.short_word(unit) == word


def test_of_many_units_it_draws_the_critical_path_and_the_longest(viewer, build, monkeypatch):
    monkeypatch.setattr(unit_graph, "MOST_BOXES", 2)
    between = Unit(1, "between", start=1, duration=1, unblocks=(2,))
    side = Unit(2, "side", start=2, duration=3)
    keep(build, Unit(0, "first", start=0, duration=1, unblocks=(1,)), between, side)

    page = words_of(viewer, f"/builds/{build.pk}/analysis/")

    assert "2 of 3 units" in page
    assert page.count('class="edge"') == 2


def test_where_nothing_waited_there_is_no_picture_of_it(viewer, build):
    keep(build, CORE)

    assert "What waited for what" not in words_of(viewer, f"/builds/{build.pk}/analysis/")


def test_it_tells_why_crates_were_built(viewer, build):
    rebuilds = (
        Rebuild("core<b>", "1.0.0", "the env variable COLOUR changed"),
        Rebuild("app", "0.1.0", "info of dependency `core<b>` changed"),
    )
    keep(build, CORE, APP, rebuilds=rebuilds)

    page = words_of(viewer, f"/builds/{build.pk}/analysis/")

    assert "the env variable COLOUR changed: core&lt;b&gt; v1.0.0, then 1 that depend on it" in page
    assert "core<b>" not in page


def test_where_nobody_asked_for_reasons_none_are_missed(viewer, build):
    keep(build, CORE, APP)

    assert "Why crates were built" not in words_of(viewer, f"/builds/{build.pk}/analysis/")


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


def test_a_log_of_reasons_is_taken_and_has_a_page(operator, build):
    add(operator, build, LOG)

    page = words_of(operator, f"/builds/{build.pk}/analysis/")

    assert BuildRecording.objects.get().source == "messages"
    assert "<dt>Crates built</dt> <dd> 4 </dd>" in page
    assert "the file `base/src/a.rs` has changed: base v0.1.0, then 1 that depend on it" in page
    assert all(word not in page for word in ('id="gantt"', "Slowest", "Critical path"))


@pytest.mark.parametrize("contents", [(SLOW, LOG), (LOG, SLOW)])
def test_reasons_and_times_of_one_build_are_kept_together(operator, build, contents):
    for content in contents:
        add(operator, build, content)

    found = decoded(BuildRecording.objects.get().content)
    assert (found.duration, len(found.rebuilds), BuildRecording.objects.get().source) == (10, 4, "timings")


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
