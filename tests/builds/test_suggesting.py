"""Patches that are offered to a repository: against real cargo, git and linkers."""

import json
import subprocess
import tomllib
from io import StringIO

import pytest
from django.core.management import call_command

from apps.builds import suggesting
from apps.builds.domain.profile_settings import LINE_TABLES, THIN_LTO
from apps.builds.domain.toml_patch import CantPatch, patched
from apps.builds.measuring import Arm, Links
from apps.builds.toolchains import Linker, NoToolchain, Toolchain, toolchain_of
from apps.workspaces.models import Repository
from tests.builds.crates import make_crates

MOLD, LLD, OWN = Linker("mold", ("-fuse-ld=mold",)), Linker("lld", ("-fuse-ld=lld",)), Linker("own", None)


@pytest.fixture
def repository(home, db, tmp_path):
    place = make_crates(tmp_path / "crates", {"base": [], "app": ["base"]}, binary="app")
    git(place, "init", "-q", "-b", "main")
    commit(place)
    return Repository.objects.create(name="crates", path=str(place), target="main", state="ready")


def git(place, *argv):
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", *who, *argv], cwd=place, check=True, capture_output=True)


def commit(place):
    git(place, "add", "-A")
    git(place, "commit", "-q", "-m", "x")


def suggest(repository, **options):
    return suggesting.suggest(repository, **({"measure": False, "cranelift": False, "rounds": 1} | options))


@pytest.mark.needs("cargo")
def test_its_patch_applies_and_builds(repository, tmp_path):
    found = suggest(repository)

    place = tmp_path / "crates"
    subprocess.run(["git", "apply"], cwd=place, input=found.patch.encode(), check=True)
    profile = tomllib.loads((place / "Cargo.toml").read_text())["profile"]
    built = subprocess.run(["cargo", "build"], cwd=place, capture_output=True, timeout=120)
    assert profile == {"dev": {"debug": "line-tables-only", "package": {"*": {"debug": False}}}}
    assert built.returncode == 0, built.stderr


@pytest.mark.needs("cargo")
def test_nothing_of_the_repository_is_touched(repository, tmp_path):
    suggest(repository)

    said = subprocess.run(["git", "status", "--porcelain"], cwd=tmp_path / "crates", capture_output=True)
    worktrees = subprocess.run(["git", "worktree", "list"], cwd=tmp_path / "crates", capture_output=True)
    assert said.stdout == b""
    assert len(worktrees.stdout.splitlines()) == 1
    assert list((tmp_path / "home" / "builds").glob("measure-*")) == []


@pytest.mark.needs("cargo")
def test_what_the_repository_has_set_stays(repository, tmp_path):
    manifest = tmp_path / "crates" / "Cargo.toml"
    manifest.write_text(manifest.read_text() + "\n[profile.dev]  # ours\ndebug = 2\n")
    commit(tmp_path / "crates")

    found = suggest(repository)

    added = [
        line
        for line in found.patch.splitlines()
        if line.startswith(("+", "-")) and line[1:2] not in ("+", "-")
    ]
    assert added == ["+", '+[profile.dev.package."*"]', "+debug = false"]


@pytest.mark.needs("cargo")
@pytest.mark.slow
def test_it_measures_each_setting_and_each_linker(repository):
    found = suggest(repository, measure=True)

    assert [arm.name for arm in found.arms] == [
        "as it is",
        "profile.dev.debug",
        "profile.dev.package.*.debug",
        "all of these",
    ]
    assert all(arm.seconds > 0 and arm.disk_bytes > 0 for arm in found.arms)
    assert found.links is not None
    assert "rustc's own choice" in found.links.seconds
    assert found.links.program.startswith(("app-", "base-"))


@pytest.mark.slow
@pytest.mark.needs("cargo")
def test_of_a_release_it_offers_what_makes_programs_smaller_and_tells_the_price(repository):
    found = suggest(repository, measure=True, release=True)

    arms = {arm.name: arm for arm in found.release_arms}
    assert set(arms) == {
        "as it is",
        "profile.release.lto",
        "profile.release.codegen-units",
        "profile.release.strip",
        "all of these",
    }
    assert arms["profile.release.strip"].program_bytes < arms["as it is"].program_bytes * 0.9
    assert arms["as it is"].program_bytes < found.arms[0].program_bytes
    assert any(
        note.startswith('profile.release.strip = "symbols"') and "of the programs'" in note
        for note in found.notes
    )
    assert '+strip = "symbols"' in found.patch


def test_a_release_without_figures_is_refused(repository):
    with pytest.raises(suggesting.SuggestRefused, match="--measure"):
        suggest(repository, release=True)


@pytest.mark.parametrize(
    ("seconds", "programs", "pays"), [(14.0, 80, True), (16.0, 80, False), (9.0, 95, False)]
)
def test_a_release_pays_with_smaller_programs_at_a_bearable_price(seconds, programs, pays):
    arms = [Arm(suggesting.AS_IT_IS, 10.0, 100, 100), Arm(THIN_LTO.name, seconds, 50, programs)]

    assert suggesting.pays(THIN_LTO, arms) == pays


def test_the_note_of_a_setting_tells_what_it_brought():
    arms = [Arm(suggesting.AS_IT_IS, 10.0, 100, 0), Arm(LINE_TABLES.name, 8.0, 50, 0)]

    assert suggesting.gain_of(LINE_TABLES, arms) == "; 0.80 of the time, 0.50 of the disk"
    assert suggesting.gain_of(LINE_TABLES, []) == ""


@pytest.mark.needs("cargo", "mold", "ld.lld")
@pytest.mark.slow
def test_every_linker_that_is_here_links_by_itself(repository):
    found = suggest(repository, measure=True)

    assert found.links is not None
    assert {"mold", "lld"} <= set(found.links.seconds)


@pytest.mark.parametrize(
    ("seconds", "disk", "pays"), [(10.0, 100, False), (9.4, 100, True), (12.0, 90, True), (9.8, 98, False)]
)
def test_a_setting_is_offered_only_when_it_pays(seconds, disk, pays):
    setting = LINE_TABLES
    arms = [Arm(suggesting.AS_IT_IS, 10.0, 100), Arm(setting.name, seconds, disk)]

    assert suggesting.pays(setting, arms) == pays


@pytest.mark.parametrize(
    ("seconds", "best"),
    [
        ({"own": 1.0, "lld": 0.5, "mold": 0.3}, MOLD),
        ({"own": 0.25, "lld": 0.24, "mold": 0.2}, None),  # not worth a new build of everything
        ({"own": 3.0, "lld": 2.8, "mold": 2.95}, None),
        ({"own": 1.0}, None),
        ({"lld": 1.0}, None),
    ],
)
def test_another_linker_is_offered_only_when_it_wins_enough(seconds, best):
    assert suggesting.better_linker(Links("app", seconds), [OWN, LLD, MOLD]) == best


@pytest.mark.needs("cargo")
def test_cranelift_is_refused_where_it_isn_t(repository):
    with pytest.raises(suggesting.SuggestRefused, match="Cranelift needs a nightly toolchain"):
        suggest(repository, cranelift=True)


def test_cranelift_without_its_component_is_refused_and_with_it_for_dev_alone(tmp_path):
    nightly = Toolchain("1.97.0-nightly", "x86_64-unknown-linux-gnu", tmp_path)
    with pytest.raises(
        suggesting.SuggestRefused, match="rustup component add rustc-codegen-cranelift-preview"
    ):
        suggesting.cranelift_tables(nightly)
    backends = tmp_path / "lib" / "rustlib" / nightly.host / "codegen-backends"
    backends.mkdir(parents=True)
    (backends / "librustc_codegen_cranelift-1.97.0-nightly.so").touch()

    tables = suggesting.cranelift_tables(nightly)

    assert tables == {
        ("unstable",): {"codegen-backend": True},
        ("profile", "dev"): {"codegen-backend": "cranelift"},
    }


@pytest.mark.needs("cargo")
def test_a_broken_toolchain_file_is_told_of(repository, tmp_path):
    (tmp_path / "crates" / "rust-toolchain.toml").write_text("[toolchain\n")
    commit(tmp_path / "crates")

    with pytest.raises(NoToolchain, match="error"):
        suggest(repository)


@pytest.mark.needs("cargo")
def test_the_command_prints_what_git_can_apply(repository, tmp_path):
    out = StringIO()

    call_command("builds", "suggest", "crates", stdout=out)

    subprocess.run(["git", "apply"], cwd=tmp_path / "crates", input=out.getvalue().encode(), check=True)
    assert "line-tables-only" in (tmp_path / "crates" / "Cargo.toml").read_text()


@pytest.mark.needs("cargo")
def test_the_command_prints_json(repository):
    out = StringIO()

    call_command("builds", "suggest", "crates", "--json", stdout=out)

    assert "+++ b/Cargo.toml" in json.loads(out.getvalue())["patch"]


@pytest.mark.needs("cargo")
def test_it_knows_the_toolchain(tmp_path):
    toolchain = toolchain_of(tmp_path)

    assert (toolchain.sysroot / "lib" / "rustlib" / toolchain.host).is_dir()


@pytest.mark.parametrize(
    "before",
    [
        "",
        "# a comment\n[profile.dev]\nopt-level = 1\n\n[dependencies]\n",
        "[profile]\n[profile.release]\nlto = true\n",
        "[profile.dev.package.x]\nopt-level = 3\n",
        "[workspace]",
    ],
)
def test_all_that_was_there_is_still_there(before):
    after = patched(before, {("profile", "dev"): {"debug": "none"}}, file="Cargo.toml")

    old, new = tomllib.loads(before), tomllib.loads(after)
    assert new["profile"]["dev"].pop("debug") == "none"
    assert {line for line in before.splitlines() if line} <= set(after.splitlines())
    assert new.get("workspace") == old.get("workspace")
    assert patched(after, {("profile", "dev"): {"debug": "none"}}, file="Cargo.toml") == after


@pytest.mark.parametrize(
    "before", ["profile = { dev = { opt-level = 1 } }", "profile.dev.opt-level = 1", "broken ["]
)
def test_what_only_a_person_can_change_is_left_to_one(before):
    with pytest.raises(CantPatch):
        patched(before, {("profile", "dev"): {"debug": "none"}}, file="Cargo.toml")
