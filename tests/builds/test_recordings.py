"""What a real cargo writes of its builds is read."""

import json
import subprocess
import time

import pytest

from apps.builds.domain.analysis import analyse, critical_path
from apps.builds.domain.graph import Graph
from apps.builds.domain.units import Recording, Unit
from apps.builds.recordings import NotARecording, from_messages, from_timings, package_in

from .crates import make_crates, write


def unit_page(**more) -> str:
    row = {"i": 0, "name": "x", "version": "1", "target": "", "start": 0, "duration": 1, "features": []}
    row |= {"unblocked_units": [], "unblocked_rmeta_units": [], "sections": None} | more
    return f"const UNIT_DATA = {json.dumps([row])};\n"


CHAIN = {"base": [], "middle": ["base"], "app": ["middle"], "apart": []}


@pytest.fixture
def crates(tmp_path):
    make_crates(tmp_path / "w", CHAIN, binary="app")
    write(tmp_path / "w" / "base" / "build.rs", 'fn main() { println!("cargo:rerun-if-changed=build.rs"); }')
    return tmp_path / "w"


def cargo(place, *argv):
    return subprocess.run(
        ["cargo", *argv], cwd=place, capture_output=True, text=True, check=True, timeout=100
    )


@pytest.mark.needs("cargo")
def test_the_page_of_a_real_build_gives_units_graph_and_path(crates):
    cargo(crates, "build", "--timings", "--target-dir", "t")

    found = from_timings((crates / "t" / "cargo-timings" / "cargo-timing.html").read_text())

    by_name = {(unit.name, unit.target): unit for unit in found.units}
    assert set(by_name) == {
        ("base", ""),
        ("base", "build-script"),
        ("base", "build-script (run)"),
        ("middle", ""),
        ("app", 'app "bin"'),
        ("apart", ""),
    }
    assert all(unit.duration >= 0 and unit.version == "0.1.0" for unit in found.units)
    assert sum(unit.duration for unit in found.units) > 0
    graph = Graph(found.units)
    base, middle = by_name["base", ""], by_name["middle", ""]
    assert graph.waits[middle.key].unit == base
    assert base.metadata_after is not None
    path = critical_path(graph)
    assert [step.unit.name for step in path][-3:] == ["base", "middle", "app"]
    assert sum(step.seconds for step in path) <= found.duration
    assert found.work >= found.duration - path[0].unit.start - 0.5


@pytest.mark.needs("cargo")
@pytest.mark.slow
def test_the_messages_of_a_real_build_give_its_units_and_what_was_fresh(crates):
    began = time.monotonic()
    first = cargo(crates, "build", "--message-format=json", "--target-dir", "t").stdout.splitlines()
    took = time.monotonic() - began
    write(crates / "middle" / "src" / "lib.rs", "pub fn total() -> u64 { 2 }\n")
    second = cargo(crates, "build", "--message-format=json", "--target-dir", "t").stdout.splitlines()

    cold = from_messages((took * index / len(first), line) for index, line in enumerate(first))
    warm = from_messages((index, line) for index, line in enumerate(second))

    assert {(unit.name, unit.version) for unit in cold.units} == {(name, "0.1.0") for name in CHAIN}
    assert (cold.fresh, warm.fresh) == (0, 4)  # base with its script and that one's run, apart
    assert {unit.name for unit in warm.units} == {"middle", "app"}


def test_what_programs_print_between_the_messages_is_passed_over():
    lines = ["running 1 test", "{not json", "[1]", json.dumps({"reason": "build-finished", "success": True})]

    assert from_messages(enumerate(lines)).units == ()


@pytest.mark.parametrize("lines", [[], ["error: could not find `Cargo.toml`"]])
def test_a_log_without_messages_is_refused(lines):
    with pytest.raises(NotARecording, match="message-format=json"):
        from_messages(enumerate(lines))


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("<html></html>", "no UNIT_DATA"),
        ("const UNIT_DATA = [{];", "isn't what cargo"),
        ('const UNIT_DATA = [{"i": 1}];', "isn't what cargo"),
        ("const UNIT_DATA = 5;", "isn't what cargo"),
        ("const UNIT_DATA = [", "isn't what cargo"),
        ("const UNIT_DATA = " + "[" * 100_000, "isn't what cargo"),
        (unit_page(i=10**30), "isn't what cargo"),
        (unit_page(i=-1), "isn't what cargo"),
        (unit_page(duration=1e300), "isn't what cargo"),
        (unit_page(duration=10**400), "isn't what cargo"),
        (unit_page(start=float("inf")), "isn't what cargo"),
        (unit_page(sections=[1]), "isn't what cargo"),
        (unit_page(features={}), "isn't what cargo"),
        ("const UNIT_DATA = \n" * 300_000, "isn't what cargo"),
        ("const UNIT_DATA = [" + "1," * 20_000 + "1];\n", "at most"),
    ],
)
def test_another_page_is_refused(page, said):
    with pytest.raises(NotARecording, match=said):
        from_timings(page)


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        ("path+file:///w/core#0.1.0", ("core", "0.1.0")),
        ("path+file:///w/x#name@0.1.0", ("name", "0.1.0")),
        ("registry+https://example.org/index#serde@1.0.2", ("serde", "1.0.2")),
        ("git+https://example.org/a.git?branch=m#0.3.0", ("a", "0.3.0")),
        ("", ("", "")),
    ],
)
def test_a_package_s_name_and_version_are_read_from_its_id(identity, expected):
    assert package_in(identity) == expected


def test_names_are_cut_and_cleaned():
    (unit,) = from_timings(unit_page(name="x\ud800\x1b[31m" * 1000, features=["f" * 9000] * 900)).units

    assert len(unit.name) == 200
    assert not {"\x1b", "\ud800"} & set(unit.name)
    assert (len(unit.features), len(unit.features[0])) == (100, 200)


@pytest.mark.parametrize("target", [None, 5, "x", {}, {"kind": 5}, {"kind": []}, {"kind": [5], "name": 5}])
def test_messages_of_another_form_are_read_as_far_as_they_go(target):
    line = json.dumps({"reason": "compiler-artifact", "package_id": 7, "target": target})

    assert len(from_messages([(1.0, line), (2.0, "{" * 9), (3.0, '{"a":' * 90_000)]).units) == 1


@pytest.mark.slow
def test_many_crates_in_two_versions_are_analysed_at_once():
    units = tuple(Unit(number, f"x{number // 2}", str(number % 2), duration=1.0) for number in range(20_000))

    found = analyse(Recording(units), cores=1)

    assert len(found.duplicates) == 10_000
