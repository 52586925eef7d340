"""Recordings: kept when a build leaves one, bounded, and never made where nobody asked."""

import os
from datetime import timedelta

import pytest

from apps.builds import actions
from apps.builds.actions import keep_recording
from apps.builds.domain.units import Recording, Unit
from apps.builds.exceptions import RecordingRefused
from apps.builds.found_recordings import pick_up
from apps.builds.models import Build, BuildRecording, BuildState, Source
from apps.builds.recordings import NotARecording, decoded, encoded
from tests.builds.test_recorder import until
from tests.builds.yard import make_package, start_cargo
from tests.factories import make_build, make_build_directory, make_lock_wait, now

PAGE = (
    'const UNIT_DATA = [{"i": 0, "name": "%s", "version": "1", "target": "", "start": 0, "duration": 1, '
    '"features": [], "unblocked_units": [], "unblocked_rmeta_units": [], "sections": null}];\n'
)
UNITS = Recording(
    (Unit(0, "core", "1.0.0", duration=4.0, metadata_after=1.5, unblocks=(1,)),), cpu=((0.5, 0.25),)
)


@pytest.mark.needs("cargo")
@pytest.mark.slow
def test_what_a_build_records_of_itself_is_kept(recorder, agent, tmp_path):
    make_package(agent, tmp_path / "w")

    for arguments in (("build", "-q"), ("build", "--timings")):
        assert start_cargo(agent, *arguments).wait(100) == 0
        until(lambda: recorder.turn() == 0)
        (tmp_path / "w" / "base" / "src" / "lib.rs").write_text("pub fn total() -> u64 { 7 }")

    plain, timed = Build.objects.order_by("asked_at")
    assert not hasattr(plain, "recording")
    assert (timed.state, timed.recording.source, timed.recording.given_by) == (
        BuildState.PASSED,
        "timings",
        "",
    )
    assert {unit.name for unit in decoded(timed.recording.content).units} == {"base", "app"}


def test_it_takes_the_page_of_this_very_build(home, db, tmp_path):
    build = timed_build(tmp_path)
    leave_page(tmp_path, "one-before", build.asked_at - timedelta(minutes=5))
    leave_page(tmp_path, "mine", build.ended_at)
    leave_page(tmp_path, "one-after", build.ended_at + timedelta(minutes=5))

    assert pick_up(build)

    assert [unit.name for unit in decoded(build.recording.content).units] == ["mine"]


@pytest.mark.parametrize("arguments", ["build", "build --time"])
def test_where_nobody_asked_nothing_is_looked_for(home, db, tmp_path, arguments):
    build = timed_build(tmp_path, arguments=arguments)
    leave_page(tmp_path, "mine", build.ended_at)

    assert not pick_up(build)


@pytest.mark.parametrize("content", ["", "const UNIT_DATA = [{}];", "x" * 100])
def test_a_page_that_is_none_holds_nobody_up(home, db, tmp_path, content, caplog):
    build = timed_build(tmp_path)
    leave_page(tmp_path, "mine", build.ended_at, content)

    assert not pick_up(build)
    assert "can't be kept" in caplog.text


def test_a_fifo_or_a_link_in_its_place_is_not_read(home, db, tmp_path):
    build = timed_build(tmp_path)
    place = tmp_path / "cargo-timings"
    place.mkdir()
    os.mkfifo(place / "cargo-timing-fifo.html")
    (tmp_path / "elsewhere.html").write_text(PAGE % "stolen")
    (place / "cargo-timing-link.html").symlink_to(tmp_path / "elsewhere.html")
    for path in place.iterdir():
        os.utime(path, (build.ended_at.timestamp(),) * 2, follow_symlinks=False)

    assert not pick_up(build)


def timed_build(place, **fields) -> Build:
    return make_build(
        directory=make_build_directory(path=str(place)), **{"arguments": "build --timings"} | fields
    )


def leave_page(place, name, at, content=None) -> None:
    path = place / "cargo-timings" / f"cargo-timing-{name}.html"
    path.parent.mkdir(exist_ok=True)
    path.write_text(PAGE % name if content is None else content)
    os.utime(path, (at.timestamp(),) * 2)


def test_what_is_kept_comes_back_as_it_was():
    assert decoded(encoded(UNITS)) == UNITS


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"units": [{"key": "x"}]}'])
def test_what_another_version_wrote_is_told(content):
    with pytest.raises(NotARecording, match="another version"):
        decoded(content)


@pytest.mark.django_db
def test_a_second_one_takes_the_place_of_the_first():
    build = make_build()
    for recording in (Recording(()), UNITS):
        keep_recording(build=build, recording=recording, source=Source.TIMINGS, now=now())

    assert decoded(BuildRecording.objects.get().content) == UNITS


@pytest.mark.django_db
def test_only_the_newest_are_kept(monkeypatch):
    monkeypatch.setattr(actions, "MOST_RECORDINGS", 2)
    builds = [make_build() for _ in range(4)]
    for number, build in enumerate(builds):
        at = now() + timedelta(seconds=number)
        keep_recording(build=build, recording=UNITS, source=Source.TIMINGS, now=at)

    assert set(BuildRecording.objects.values_list("build", flat=True)) == {builds[2].pk, builds[3].pk}


@pytest.mark.django_db
def test_one_that_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(actions, "LARGEST_RECORDING", 10)

    with pytest.raises(RecordingRefused, match="too large"):
        keep_recording(build=make_build(), recording=UNITS, source=Source.TIMINGS, now=now())


@pytest.mark.django_db
def test_builds_are_forgotten_with_what_is_known_of_them(settings):
    settings.BUILDS_KEPT_DAYS = 3
    old, young = (make_build(asked_at=now() - timedelta(days=days)) for days in (4, 2))
    still_open = make_build(asked_at=now() - timedelta(days=4), state="running")
    make_lock_wait(young, holder=old)
    make_lock_wait(old)
    keep_recording(build=old, recording=UNITS, source=Source.TIMINGS, now=now())

    assert actions.forget_old_builds(now=now(), limit=10) == 1

    assert set(Build.objects.all()) == {young, still_open}
    assert young.waits.get().holder is None
    assert not BuildRecording.objects.exists()
