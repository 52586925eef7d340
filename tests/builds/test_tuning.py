"""Switches of a repository, and what is told of compiler caches."""

import json
from datetime import UTC, datetime
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from apps.builds import sccache
from apps.builds.cache_actions import clear_cache, record_cache
from apps.builds.exceptions import OptionRefused
from apps.builds.models import BuildOptions
from apps.builds.option_actions import set_options
from apps.events.domain.actor import Actor, Role
from apps.events.models import Event
from apps.exposition.scrape import scrape
from apps.workspaces.models import Repository
from controlplane import doctor
from tests.factories import make_host

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OPERATOR = Actor("user", "ada", Role.OPERATOR)
PROGRAM = sccache.Program("/bin/sccache", "0.16.0")
FIGURES = sccache.Figures(30, 10, 1, {"crate-type": 4}, "here", 5_000_000, 50_000_000)


@pytest.fixture
def repository(db):
    return Repository.objects.create(name="project", path="/somewhere", state="ready")


def printed(*argv: str) -> str:
    out = StringIO()
    call_command("builds", *argv, stdout=out)
    return out.getvalue()


def test_everything_but_the_jobserver_is_on_before_somebody_switches_it_off(repository):
    said = json.loads(printed("options", "project", "--json"))

    assert (said.pop("scheme"), said.pop("jobserver")) == ("lean", "off")
    assert set(said.values()) == {"on"}
    assert not BuildOptions.objects.exists()


def test_what_is_switched_off_is_told_by_doctor(repository):
    printed("options", "project", "slots=off", "scheme=strict")

    row = BuildOptions.objects.get()
    (finding,) = doctor.check_build_options()
    assert (row.slots, row.scheme, row.own_directories) == (False, "strict", True)
    assert (finding.name, finding.level, finding.text) == ("builds of project", "note", "switched off: slots")
    assert Event.objects.get().text == "Builds of project: slots off, scheme strict."


@pytest.mark.parametrize(
    "word", ["nothing=on", "slots=maybe", "slots", "scheme=on", "id=on", "repository=on"]
)
def test_what_is_no_option_is_refused_and_nothing_changes(repository, word):
    with pytest.raises(CommandError):
        printed("options", "project", "compiler_cache=off", word)

    assert not BuildOptions.objects.exists()


def test_a_viewer_switches_nothing(repository):
    with pytest.raises(Exception, match="operator"):
        set_options(repository=repository, words={"slots": "off"}, actor=Actor("user", "bob", Role.VIEWER))

    assert not BuildOptions.objects.exists()


def test_an_option_that_isn_t_there_is_told_with_those_that_are(repository):
    with pytest.raises(OptionRefused, match="compiler_cache"):
        set_options(repository=repository, words={"cache": "off"}, actor=OPERATOR)


def test_figures_are_told_and_stay_while_nobody_answers(db):
    host = make_host("one")
    record_cache(host=host, problem="", program=PROGRAM, figures=FIGURES, now=NOW)
    record_cache(host=host, problem="its server doesn't start", program=None, figures=None, now=NOW)

    (told,) = json.loads(printed("cache", "stats", "--json"))

    assert told["problem"] == "its server doesn't start"
    assert (told["hits"], told["misses"], told["hit_ratio"]) == (30, 10, 0.75)


def test_monitoring_reads_them_too(db, redis_server):
    record_cache(host=make_host("one"), problem="", program=PROGRAM, figures=FIGURES, now=NOW)

    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in scrape(datetime.now(UTC)).collect()
        for sample in family.samples
    }

    assert samples["swarmyard_compiler_cache_up", "one"] == 1
    assert samples["swarmyard_compiler_cache_hits_total", "one"] == 30
    assert samples["swarmyard_compiler_cache_passed_total", "one", "crate-type"] == 4


def test_clearing_is_an_event_of_whoever_did_it(home, db):
    host = make_host("one")
    (sccache.places.compiler_cache() / "files").mkdir(parents=True)
    (sccache.places.compiler_cache() / "files" / "object").write_text("x")

    clear_cache(host=host, actor=OPERATOR, here=True)

    assert not (sccache.places.compiler_cache() / "files").exists()
    assert (Event.objects.get().actor, Event.objects.get().kind) == ("ada", "compiler_cache.cleared")


def test_an_operator_s_own_directory_is_not_cleared(home, db, monkeypatch, tmp_path):
    monkeypatch.setenv("SCCACHE_DIR", str(tmp_path / "own"))
    (tmp_path / "own").mkdir()

    with pytest.raises(sccache.CacheRefused, match="SCCACHE_DIR is set"):
        clear_cache(host=make_host("one"), actor=OPERATOR, here=True)

    assert (tmp_path / "own").is_dir()


def test_while_somebody_else_starts_it_it_isn_t_cleared(home, db):
    with sccache.turn(), pytest.raises(sccache.CacheBusy):
        sccache.clear()


def test_doctor_tells_of_each_optimisation(home, db):
    names = [finding.name for check in (doctor.check_slots, doctor.check_compiler_cache, doctor.check_linkers)
             for finding in [check()]]  # fmt: skip

    assert names == ["build slots", "compiler cache", "linkers"]


@pytest.mark.needs("mounts")
def test_doctor_says_why_agents_are_shown_nothing_at_one_path(home, db, monkeypatch):
    monkeypatch.setenv("RUSTC_WRAPPER", "sccache")

    finding = doctor.check_same_path()

    assert (finding.level, finding.text) == ("note", "off, as there is a compiler wrapper of your own")
    assert "Unset RUSTC_WRAPPER" in finding.hint


@pytest.mark.needs("sccache")
def test_doctor_says_that_the_cache_s_redis_is_gone(home, settings):
    settings.COMPILER_CACHE_GB = 1
    settings.COMPILER_CACHE_URL = "redis://127.0.0.1:1"

    finding = doctor.check_compiler_cache()

    assert finding.level == "note"
    assert "SWARMYARD_COMPILER_CACHE_URL doesn't answer" in finding.text


def test_doctor_says_why_there_is_no_cache(home, settings):
    settings.COMPILER_CACHE_GB = 0

    finding = doctor.check_compiler_cache()

    assert (finding.level, finding.text) == ("note", "switched off by SWARMYARD_COMPILER_CACHE_GB=0")
