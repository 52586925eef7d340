"""`manage.py builds`: what was built, and where the time of a build went."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from apps.builds.actions import keep_recording
from apps.builds.domain.units import Recording, Unit
from apps.builds.models import Source
from tests.builds.crates import make_crates
from tests.builds.test_rebuilds import LOG
from tests.factories import make_agent, make_build, now

ROOT = Path(__file__).parents[2]


def page(*units: dict, cpu: str = "[[0.0, 50.0]]") -> str:
    rows = [
        {"i": number, "version": "1.0.0", "target": "", "start": 0.0, "duration": 1.0, "features": [],
         "unblocked_units": [], "unblocked_rmeta_units": [], "sections": None} | unit
        for number, unit in enumerate(units)
    ]  # fmt: skip
    return (
        f"<html><script>\nconst UNIT_DATA = {json.dumps(rows)};\nconst CPU_USAGE = {cpu};\n</script></html>"
    )


def artifact(name: str, version: str = "1.0.0", **more) -> str:
    package = f"registry+https://example.org/index#{name}@{version}"
    return json.dumps({"reason": "compiler-artifact", "package_id": package, "fresh": False} | more)


SLOW = page(
    {"name": "core", "duration": 8.0, "unblocked_units": [1]},
    {"name": "app", "start": 8.0, "duration": 2.0},
    {"name": "core", "version": "0.9.0", "duration": 3.0},
)
FAST = page(
    {"name": "core", "duration": 5.0, "unblocked_units": [1]}, {"name": "app", "start": 5.0, "duration": 2.0}
)


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("builds", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def slow(tmp_path) -> str:
    (tmp_path / "slow.html").write_text(SLOW)
    return str(tmp_path / "slow.html")


def test_it_tells_path_slowest_duplicates_and_what_would_help(slow):
    text = run("analyze", slow, "--cores", "4")

    assert "3 units built; 10.0 s; 13.0 s of work, 1.3 at a time on average" in text
    assert text.index("8.00 s  core v1.0.0") < text.index("2.00 s  app v1.0.0")
    assert "core 0.9.0, 1.0.0" in text
    assert "core v1.0.0 is 80 % of the critical path" in text
    assert "On average 1.3 of 4 cores had work" in text


def test_it_tells_the_same_as_data(slow):
    found = json.loads(run("analyze", slow, "--cores", "4", "--json"))

    assert (found["seconds"], found["work_seconds"], found["mean_parallelism"]) == (10.0, 13.0, 1.3)
    assert [step["unit"] for step in found["critical_path"]] == ["core v1.0.0", "app v1.0.0"]
    assert found["duplicates"] == {"core": ["0.9.0", "1.0.0"]}
    assert found["suggestions"][0]["saves_seconds"] > 0


def test_it_tells_what_a_slow_unit_waited_for_and_what_waited_for_it(slow):
    text, found = run("analyze", slow), json.loads(run("analyze", slow, "--json"))

    lines = [line.strip() for line in text.split("Slowest units")[1].splitlines()]
    assert lines[1:3] == ["8.00 s  core v1.0.0", "held up app v1.0.0"]
    assert lines[-lines[::-1].index("waited for core v1.0.0") - 2] == "2.00 s  app v1.0.0"
    assert found["slowest"][0] == {
        "unit": "core v1.0.0",
        "seconds": 8.0,
        "waited_for": None,
        "next": ["app v1.0.0"],
        "all_after": 1,
    }


def test_it_tells_why_crates_were_built(tmp_path):
    (tmp_path / "build.log").write_text(LOG)

    text = run("analyze", str(tmp_path / "build.log"))
    found = json.loads(run("analyze", str(tmp_path / "build.log"), "--json"))

    assert "4 crates built; 2 were fresh; no times in this log" in text
    assert "    2  the file `base/src/a.rs` has changed: base v0.1.0, then 1 that depend on it\n" in text
    assert "first built with these settings: newest v3.0.0-rc.1+x\n       Nothing was built here" in text
    assert found["rebuilds"][0] | {"advice": ""} == {
        "kind": "file",
        "reason": "the file `base/src/a.rs` has changed",
        "first": ["base v0.1.0"],
        "crates": 2,
        "advice": "",
    }
    assert (found["counted"], found["fresh"], found["seconds"]) == ("crates", 2, None)


def test_what_tells_no_reasons_is_silent_of_them(slow):
    assert "Why crates" not in run("analyze", slow)
    assert json.loads(run("analyze", slow, "--json"))["rebuilds"] is None


def test_it_tells_what_changed_between_two(slow, tmp_path):
    (tmp_path / "fast.html").write_text(FAST)

    text = run("analyze", slow, str(tmp_path / "fast.html"))
    found = json.loads(run("analyze", slow, str(tmp_path / "fast.html"), "--json"))

    assert [(each["unit"], each["change"]) for each in found["differences"][:2]] == [
        ("core v1.0.0", -3.0),
        ("core v0.9.0", -3.0),
    ]
    assert text.splitlines()[-1].split() == ["core", "v0.9.0", "3.00", "-", "-3.00"]
    assert "app" not in text.split("CHANGE s")[1]


def test_of_messages_without_times_it_makes_up_none(tmp_path):
    log = tmp_path / "log.json"
    log.write_text("\n".join([artifact("serde"), artifact("serde", "0.9.0"), artifact("app", fresh=True)]))

    text, found = run("analyze", str(log)), json.loads(run("analyze", str(log), "--json"))

    assert "2 units built; 1 were fresh; no times in this log" in text
    assert "serde 0.9.0, 1.0.0" in text
    assert "Critical path" not in text
    assert " 0.0 s" not in text
    assert [found[name] for name in ("seconds", "critical_path", "slowest", "mean_parallelism")] == [None] * 4
    assert all(each["saves_seconds"] is None for each in found["suggestions"])


def test_of_messages_with_times_it_tells_these_and_no_path(tmp_path):
    log = tmp_path / "log.txt"
    log.write_text(f"1700000000.0 {{}}\n1700000002.5 {artifact('serde')}\n1700000003 {artifact('app')}\n")

    text, found = run("analyze", str(log)), json.loads(run("analyze", str(log), "--json"))

    assert found["slowest"] == [
        {"unit": "serde v1.0.0", "seconds": 2.5},
        {"unit": "app v1.0.0", "seconds": 0.5},
    ]
    assert found["critical_path"] is None
    assert "Critical path: not known" in text
    assert "cores had work" not in text


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (artifact("serde"), "1 units built"),
        (f"1.0 {artifact('serde')}", "1 units built; 0 were fresh; 0.0 s"),
        (LOG, "4 crates built"),
        (SLOW, "3 units built; 10.0 s"),
    ],
)
def test_every_kind_of_recording_is_read_where_there_is_no_cargo(tmp_path, monkeypatch, content, told):
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "recording").write_text(content)

    assert told in run("analyze", str(tmp_path / "recording"))


@pytest.mark.needs("cargo")
@pytest.mark.slow
def test_it_reads_the_messages_of_a_real_build_while_they_come(tmp_path):
    make_crates(tmp_path / "w", {"base": [], "app": ["base"]}, binary="app")
    build = ["cargo", "build", "-q", "--message-format=json", "--target-dir", str(tmp_path / "t")]
    messages = subprocess.run(build, cwd=tmp_path / "w", capture_output=True, check=True, timeout=100).stdout

    done = subprocess.run(
        [sys.executable, "manage.py", "builds", "analyze", "-", "--json"],
        cwd=ROOT, input=messages, capture_output=True, check=True, timeout=60,
    )  # fmt: skip

    found = json.loads(done.stdout)
    assert {each["unit"] for each in found["slowest"]} == {"base v0.1.0", "app v0.1.0 bin app"}
    assert found["seconds"] >= 0


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "There is no message of cargo in it"),
        ("<!DOCTYPE html><p>hello", "it has no UNIT_DATA"),
        (page({"name": "x", "duration": float("nan")}), "isn't what cargo"),
        (page({"name": "x", "start": -1}), "isn't what cargo"),
        (page({"name": "x", "unblocked_units": ["y"]}), "isn't what cargo"),
        (page({"name": "x"}, cpu="[[1]]"), "isn't what cargo"),
        ("\x00\xff" * 50, "There is no message of cargo in it"),
    ],
)
def test_what_is_no_recording_is_refused_with_its_name(tmp_path, content, told):
    (tmp_path / "x").write_text(content)

    with pytest.raises(CommandError, match="x: ") as refusal:
        run("analyze", str(tmp_path / "x"))

    assert told in str(refusal.value)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(CommandError, match="No such file"):
        run("analyze", str(tmp_path / "nowhere"))


def test_names_in_a_page_print_no_escapes(tmp_path):
    (tmp_path / "x").write_text(page({"name": "a\x1b[31mb\nc", "version": "\x07"}))

    assert not {"\x1b", "\x07"} & set(run("analyze", str(tmp_path / "x")))


@pytest.mark.django_db
def test_a_build_with_a_recording_is_named_by_its_number():
    build = make_build(make_agent())
    recording = Recording((Unit(0, "core", "1.0.0", duration=4.0),))
    keep_recording(build=build, recording=recording, source=Source.TIMINGS, now=now())

    assert "4.00 s  core v1.0.0" in run("analyze", str(build.pk))
    with pytest.raises(CommandError, match="There is no build 4711"):
        run("analyze", "4711")
    with pytest.raises(CommandError, match="has no recording"):
        run("analyze", str(make_build().pk))


@pytest.mark.django_db
def test_it_lists_builds():
    assert "No build was reported" in run("list")
    make_build(make_agent("w1/agent-01"), arguments="check -p ingest", slot_wait_ms=1500.0)
    make_build(None, state="running", ended_at=None)

    text = run("list")

    assert "w1/agent-01" in text
    assert "cargo check -p ingest" in text
    assert [row["state"] for row in json.loads(run("list", "--state", "open", "--json"))] == ["running"]
