"""Which build directory a command gets: apart where cargo would compile all of it again, together otherwise."""

import os

import pytest

from agentkit.building.keys import LEAN, STRICT, key_of, parts_of, toolchain_of


@pytest.fixture
def place(tmp_path):
    """A crate below a workspace, and a home of rustup."""
    (tmp_path / "w" / "crate" / "src").mkdir(parents=True)
    (tmp_path / "w" / "Cargo.lock").write_text("one\n")
    (tmp_path / "rustup").mkdir()
    (tmp_path / "rustup" / "settings.toml").write_text(
        'version = "12"\ndefault_toolchain = "stable-x86_64-unknown-linux-gnu"\n'
    )
    return tmp_path


def key(place, *argv, scheme=LEAN, mode="check", **environment):
    environment = {"RUSTUP_HOME": str(place / "rustup"), **environment}
    return key_of(parts_of(scheme, list(argv), mode, environment, str(place / "w" / "crate")))


def toolchain(place, *argv, **environment):
    return toolchain_of(
        list(argv), {"RUSTUP_HOME": str(place / "rustup"), **environment}, str(place / "w" / "crate")
    )


def test_a_key_names_its_toolchain_and_can_be_a_directory(place):
    found = key(place, "check")

    assert found.startswith("stable-x86_64-unknown-li")
    assert "/" not in found
    assert len(os.fsencode(found)) < 64


@pytest.mark.parametrize("scheme", [LEAN, STRICT])
def test_another_toolchain_or_other_flags_build_elsewhere(place, scheme):
    keys = {
        key(place, "check", scheme=scheme),
        key(place, "+nightly", "check", scheme=scheme),
        key(place, "check", scheme=scheme, RUSTUP_TOOLCHAIN="1.80.0"),
        key(place, "check", scheme=scheme, RUSTFLAGS="-C opt-level=1"),
    }

    assert len(keys) == 4


def test_the_lean_scheme_leaves_to_cargo_what_cargo_keeps_apart(place):
    before = key(place, "check")
    (place / "w" / "Cargo.lock").write_text("two\n")

    others = {key(place, "build", "--release", mode="release"), key(place, "check", "--features", "x")}

    assert others == {before}


def test_the_strict_scheme_keeps_apart_all_that_b1_names(place):
    keys = {
        key(place, "check", scheme=STRICT),
        key(place, "build", scheme=STRICT, mode="dev"),
        key(place, "check", "--features", "a,b", scheme=STRICT),
        key(place, "check", "--target=wasm32-wasip1", scheme=STRICT),
    }
    (place / "w" / "Cargo.lock").write_text("two\n")
    keys.add(key(place, "check", scheme=STRICT))

    assert len(keys) == 5
    assert key(place, "check", "-F", "b", "-F", "a", scheme=STRICT) == key(
        place, "check", "--features=a b", scheme=STRICT
    )


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("rust-toolchain.toml", '[toolchain]\nchannel = "1.75.0" # for now\n', "1.75.0"),
        ("rust-toolchain.toml", "[toolchain]\npath = '/opt/rust'\n", "/opt/rust"),
        ("rust-toolchain", "nightly-2026-01-01\n", "nightly-2026-01-01"),
        ("rust-toolchain.toml", "[toolchain\nnot toml", ""),
    ],
)
def test_the_file_of_the_repository_says_which_toolchain(place, name, text, found):
    (place / "w" / name).write_text(text)

    assert toolchain(place) == found


def test_the_command_line_comes_before_the_environment_and_that_before_the_file(place):
    (place / "w" / "rust-toolchain").write_text("beta")

    assert toolchain(place, "+nightly", RUSTUP_TOOLCHAIN="stable") == "nightly"
    assert toolchain(place, RUSTUP_TOOLCHAIN="stable") == "stable"
    assert toolchain(place) == "beta"


def test_without_rustup_there_is_one_directory_all_the_same(tmp_path):
    found = key_of(parts_of(LEAN, ["check"], "check", {"HOME": str(tmp_path)}, str(tmp_path)))

    assert found.startswith("default-")
