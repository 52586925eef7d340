"""Why crates were built again, as cargo tells it with -v."""

import os
import shutil
import subprocess

import pytest

from apps.builds.domain.rebuilds import Kind, causes_of
from apps.builds.domain.units import Rebuild, Recording
from apps.builds.recordings import NotARecording, decoded, encoded, read

from .crates import make_crates, write

CHAIN = {"base-part": [], "middle": ["base-part"], "app": ["middle"], "apart": []}
SCRIPT = """fn main() {
    println!("cargo::rerun-if-changed=data.txt");
    println!("cargo::rerun-if-env-changed=COLOUR_OF_IT");
}
"""
LATER = 2_000_000_000  # a file's time that no build is younger than: it has changed in all that follow


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A workspace that was built, for each test to copy; it waits for nothing but its own edits."""
    place = tmp_path_factory.mktemp("crates") / "w"
    make_crates(place, {name: [] for name in CHAIN}, binary="app")
    for name, needs in CHAIN.items():
        manifest = place / name / "Cargo.toml"
        manifest.write_text(
            manifest.read_text() + "".join(f'{need} = {{ path = "../{need}" }}\n' for need in needs)
        )
    write(place / "base-part" / "build.rs", SCRIPT)
    write(place / "base-part" / "data.txt", "1")
    write(place / "base-part" / "src" / "lib.rs", 'pub const SEEN: Option<&str> = option_env!("SEEN_BY_IT");')
    write(place / "apart" / "build.rs", "fn main() {}")
    write(place / "apart" / "notes.txt", "1")
    log_of(place)
    return place


@pytest.fixture
def crates(built, tmp_path):
    return shutil.copytree(built, tmp_path / "w", copy_function=shutil.copy2)


def log_of(place, *arguments, **variables) -> str:
    """What `cargo build -v` says."""
    environment = (
        os.environ | {"CARGO_TERM_COLOR": "always", "CARGO_TARGET_DIR": str(place / "t")} | variables
    )
    environment.pop("RUSTC_WRAPPER", None)
    command = ["cargo", "build", "-v", *arguments]
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, check=True, timeout=300)
    return done.stdout.decode() + done.stderr.decode()


def edit(path, text) -> None:
    path.write_text(text)
    os.utime(path, (LATER, LATER))


def told(log: str) -> list[tuple[Kind, tuple[str, ...], int]]:
    return [(cause.kind, cause.first, cause.crates) for cause in causes_of(read(log).rebuilds)]


@pytest.mark.needs("cargo")
@pytest.mark.slow
def test_each_cause_is_told_by_a_real_cargo_with_all_that_was_built_for_it(crates):
    base, log_of_all = ("base-part v0.1.0",), log_of(crates)
    assert read(log_of_all).fresh == 4
    assert told(log_of_all) == []

    assert told(log_of(crates, COLOUR_OF_IT="y")) == [(Kind.ENVIRONMENT, base, 3)]
    assert told(log_of(crates, COLOUR_OF_IT="y", SEEN_BY_IT="1")) == [(Kind.ENVIRONMENT, base, 3)]

    edit(
        crates / "base-part" / "src" / "lib.rs",
        'pub const SEEN: Option<&str> = option_env!("SEEN_BY_IT"); //',
    )
    assert told(log_of(crates, COLOUR_OF_IT="y", SEEN_BY_IT="1")) == [(Kind.FILE, base, 3)]


@pytest.mark.needs("cargo")
def test_a_file_of_a_script_and_one_that_is_not_there_are_told(crates):
    (crates / "base-part" / "data.txt").unlink()
    assert told(log_of(crates)) == [(Kind.MISSING_FILE, ("base-part v0.1.0",), 3)]

    edit(crates / "base-part" / "data.txt", "2")
    assert told(log_of(crates)) == [(Kind.READ_FILE, ("base-part v0.1.0",), 3)]


@pytest.mark.needs("cargo")
def test_a_script_that_names_no_file_is_told(crates):
    edit(crates / "apart" / "notes.txt", "2")

    (cause,) = causes_of(read(log_of(crates)).rebuilds)

    assert (cause.kind, cause.first, cause.crates) == (Kind.SCRIPT, ("apart v0.1.0",), 1)
    assert "rerun-if-changed" in cause.advice


@pytest.mark.needs("cargo")
def test_an_output_that_is_gone_is_told(crates):
    for path in (crates / "t" / "debug" / "deps").glob("libmiddle-*"):
        path.unlink()

    assert told(log_of(crates)) == [(Kind.OUTPUT, ("middle v0.1.0",), 2)]


@pytest.mark.needs("cargo")
@pytest.mark.parametrize(
    "variables",
    [{"RUSTFLAGS": "-Copt-level=1"}, {"CARGO_PROFILE_DEV_OPT_LEVEL": "1"}, {"CARGO_PROFILE_DEV_DEBUG": "0"}],
)
@pytest.mark.slow
def test_with_other_settings_all_is_new_to_cargo(crates, variables):
    ((kind, first, count),) = told(log_of(crates, **variables))

    assert (kind, len(first), count) == (Kind.NEW, 4, 4)


@pytest.mark.needs("cargo")
@pytest.mark.slow
def test_another_edition_features_and_lints_are_told(crates):
    manifest = crates / "base-part" / "Cargo.toml"
    text = manifest.read_text()
    manifest.write_text(text.replace("2021", "2018"))
    assert told(log_of(crates)) == [(Kind.MANIFEST, ("base-part v0.1.0",), 3)]

    manifest.write_text(manifest.read_text() + "[features]\nfast = []\n")
    assert told(log_of(crates)) == [(Kind.FEATURES, ("base-part v0.1.0",), 3)]

    manifest.write_text(manifest.read_text() + '[lints.rust]\nunused = "allow"\n')
    assert told(log_of(crates)) == [(Kind.PROFILE, ("base-part v0.1.0",), 3)]


@pytest.mark.needs("cargo")
def test_reasons_between_json_messages_are_read_with_these(crates):
    edit(crates / "middle" / "src" / "lib.rs", "pub fn total() -> u64 { 5 }")

    found = read(log_of(crates, "--message-format=json"))

    assert {unit.name for unit in found.units} == {"middle", "app"}
    assert [(cause.first, cause.crates) for cause in causes_of(found.rebuilds)] == [(("middle v0.1.0",), 2)]
    assert not found.counts_crates


BASE = "       Dirty base v0.1.0 (/w (x)/base): the file `base/src/a.rs` has changed (9s, 2s after last build at 7s)"
LOG = f"""    Blocking waiting for file lock on build directory
       Fresh apart v0.2.0
1700000000.25        Fresh other v0.2.0 (/w/other)
{BASE}
   Compiling base v0.1.0 (/w (x)/base)
     Running `rustc --crate-name base`
       Dirty app v1.0.0 (proc-macro) (/w/app): the dependency `base` was rebuilt
   Compiling app v1.0.0 (proc-macro) (/w/app)
       Dirty renamed v1.0.0: the dependency `nobody_knows` was rebuilt
   Compiling newest v3.0.0-rc.1+x
    Checking nothing
    Finished `dev` profile
"""


def test_a_log_of_reasons_alone_is_a_recording():
    found = read(LOG)

    assert (found.fresh, found.has_times, found.has_graph, found.counts_crates) == (2, False, False, True)
    assert [(unit.name, unit.version) for unit in found.units] == [
        ("base", "0.1.0"),
        ("app", "1.0.0"),
        ("renamed", "1.0.0"),
        ("newest", "3.0.0-rc.1+x"),
    ]
    assert {(cause.text, cause.crates) for cause in causes_of(found.rebuilds)} == {
        ("the file `base/src/a.rs` has changed", 2),
        ("the dependency `nobody_knows` was rebuilt", 1),
        ("first built with these settings", 1),
    }
    assert decoded(encoded(found)) == found


def test_what_cargo_says_without_v_tells_no_reasons():
    with pytest.raises(NotARecording, match="with -v for the reasons"):
        read("   Compiling base v0.1.0 (/w/base)\n    Finished `dev` profile\n")


def test_one_cause_of_many_crates_is_one():
    rebuilds = [Rebuild(f"crate-{number}", "1", "the env variable X changed") for number in range(9)]

    (cause,) = causes_of([*rebuilds, Rebuild("app", "1", "info of dependency `crate_3` changed")])

    assert (cause.kind, len(cause.first), cause.crates) == (Kind.ENVIRONMENT, 9, 10)


def test_a_file_that_much_depends_on_is_worth_a_word_and_another_is_not():
    file = Rebuild("base", "1", "the file `a.rs` has changed")
    others = [Rebuild(f"on-{number}", "1", "the dependency `base` was rebuilt") for number in range(3)]

    assert causes_of([file])[0].advice == ""
    assert "3 crates wait for it" in causes_of([file, *others])[0].advice


def test_words_of_a_cargo_that_nobody_knows_are_a_cause_too():
    (cause,) = causes_of([Rebuild("base", "1", "the moon is full")])

    assert (cause.kind, cause.text, cause.advice) == (Kind.OTHER, "the moon is full", "")


def test_recordings_of_one_build_are_taken_together():
    reasons, times = read(LOG), Recording((), has_graph=True)

    assert times.with_reasons_of(reasons).rebuilds == reasons.rebuilds
    assert reasons.with_reasons_of(times) == reasons


def test_lines_that_were_made_to_hurt_are_read_in_time():
    hurting = [
        "Dirty " + "(" * 50_000,
        "Dirty x v1 " + " (a)" * 20_000 + ":",
        "\x1b[" * 50_000 + "Dirty x v1: y",
    ]

    with pytest.raises(NotARecording):
        read("\n".join(hurting[:1] * 100))
    assert len(read("\n".join(hurting * 200)).rebuilds) <= 2
