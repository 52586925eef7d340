"""Pages of what makes builds fast: bases, compiler caches, and the switches of a repository."""

import pytest

from apps.builds import places
from apps.builds.base_log import TAIL, tail
from apps.builds.bases import OnDisk
from apps.builds.models import Base, BuildOptions, HostSlots
from apps.events.models import Event
from apps.lib import questions
from tests.console.test_builds_pages import words_of
from tests.factories import (
    make_base,
    make_build_directory,
    make_compiler_cache,
    make_host,
    make_member,
    make_repository,
    make_wave,
    now,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def repository():
    make_host()
    return make_repository("ingest")


@pytest.fixture
def nobody_answers(monkeypatch):
    def ask(*question, **limits):
        raise questions.NoAnswer("The workers are busy.")

    monkeypatch.setattr(questions, "ask", ask)


def test_it_tells_of_each_base_what_it_is_and_who_began_with_it(viewer, repository):
    make_base(repository, wanted="77aa" * 10)
    agent = make_member(make_wave("w1", repository=repository))
    make_build_directory(agent, warm_source="base at 3f2a3f2a3f2a, dependencies only")
    make_build_directory(agent)

    page = words_of(viewer, "/builds/bases/")

    assert "its branch is at <code>77aa77aa77aa</code>" in page
    assert ">42 s</td>" in page
    assert ">900 MB</td>" in page
    seeded = page.split('href="/builds/directories/?repository=ingest"')[1]
    assert seeded.split("</a>")[0].endswith(">1")
    assert "Build now" not in page


def test_a_base_that_failed_says_why(viewer, repository):
    make_base(repository, state="failed", problem="cargo check: error[E0425]: <b>")

    assert "cargo check: error[E0425]: &lt;b&gt;" in words_of(viewer, "/builds/bases/")


def test_a_base_of_a_silent_host_is_not_as_if_it_were_of_now(viewer, repository):
    make_base(repository, host=make_host("builder", heartbeat_at=None))

    assert "its host doesn&#x27;t answer" in words_of(viewer, "/builds/bases/")


def test_an_operator_has_a_base_built_once(operator, repository):
    base = make_base(repository, state="failed", attempts=3)

    first = operator.post(f"/builds/bases/{base.pk}/build", headers={"HX-Request": "true"})
    second = operator.post(f"/builds/bases/{base.pk}/build", headers={"HX-Request": "true"})

    base.refresh_from_db()
    assert (first.status_code, second.status_code) == (204, 409)
    assert (base.state, base.attempts) == ("queued", 0)
    assert "being built already" in second["HX-Trigger"]
    assert Event.objects.filter(kind="base.asked").count() == 1


def test_the_end_of_a_base_s_log_begins_with_a_line(repository):
    log = OnDisk(places.base_of(repository)).log
    log.parent.mkdir(parents=True)
    log.write_text("".join(f"{number:05d} \x1b[31mCompiling\x1b[0m\n" for number in range(5_000)))

    text = tail(repository.pk)

    assert text.endswith("04999 Compiling\n")
    assert text.splitlines()[0].endswith(" Compiling")
    assert len(text.splitlines()[0]) == len("04999 Compiling")
    assert len(text) < TAIL


def test_without_a_log_there_is_nothing_to_tell(repository):
    assert tail(repository.pk) == ""


def test_the_log_of_a_base_is_shown_as_text(viewer, repository):
    log = OnDisk(places.base_of(repository)).log
    log.parent.mkdir(parents=True)
    log.write_text("error: <b>no</b>\n")

    assert "error: &lt;b&gt;no&lt;/b&gt;" in words_of(
        viewer, f"/builds/bases/{make_base(repository).pk}/log/"
    )


def test_a_log_that_nobody_fetches_is_said_to_be_so(viewer, repository, nobody_answers):
    page = words_of(viewer, f"/builds/bases/{make_base(repository).pk}/log/")

    assert "The workers are busy." in page
    assert "wasn&#x27;t built" not in page


def test_it_tells_what_a_compiler_cache_holds_and_what_it_cannot(viewer):
    make_compiler_cache(reasons={"crate-type": 12, "<b>": 3}, errors=2)

    page = words_of(viewer, "/builds/caches/")

    assert "<b>90</b> %" in page
    assert "of 1 000 asked for" in page
    assert "3.0 GB of 50.0 GB" in page
    assert page.index("crate-type") < page.index("&lt;b&gt;")
    assert "Clear" not in page


def test_a_cache_that_nobody_asked_has_no_hit_rate(viewer):
    make_compiler_cache(hits=0, misses=0)

    page = words_of(viewer, "/builds/caches/")

    assert page.split("Hit rate")[1].split("<b>")[1].startswith("–</b>")


def test_a_host_without_a_cache_says_why_and_has_nothing_to_clear(operator):
    make_compiler_cache(problem="sccache is not installed")

    page = words_of(operator, "/builds/caches/")

    assert "sccache is not installed" in page
    assert "Clear" not in page


def test_a_cache_is_cleared_by_its_host_alone(operator, nobody_answers):
    cache = make_compiler_cache()
    assert "hx-confirm" in words_of(operator, "/builds/caches/")

    answer = operator.post(f"/builds/caches/{cache.host_id}/clear", headers={"HX-Request": "true"})

    assert answer.status_code == 409  # nobody there to ask: it isn't said to be empty
    assert not Event.objects.filter(kind="compiler_cache.cleared").exists()


def test_a_host_tells_its_cache_and_bases(viewer, repository):
    make_compiler_cache()
    make_base(repository)
    make_base(state="failed")

    page = words_of(viewer, "/hosts/")

    assert '<a href="/builds/caches/">90 % hits, 3.0 GB of 50.0 GB</a>' in page
    assert '<a href="/builds/bases/">1 failed, 1 ready</a>' in page


def test_slots_are_halved_for_a_reason(viewer, settings):
    settings.MAX_MEMORY_PRESSURE = 20.0
    HostSlots.objects.create(host=make_host(memory_pressure=33.0), slots=4, told_at=now())

    page = words_of(viewer, "/hosts/")

    assert "0 under way, 0 waiting; 4 slots, halved while memory is short" in page


def test_a_repository_tells_what_is_active_for_its_builds_and_why_the_rest_is_not(
    viewer, repository, settings
):
    settings.SAME_PATH = True
    make_host(equipment={"view_problem": "no user namespaces"})
    BuildOptions.objects.create(repository=repository, slots=False)
    make_compiler_cache(problem="sccache is not installed")
    make_base(repository, state="building")

    page = words_of(viewer, f"/repositories/{repository.pk}/")

    lines = {
        part.split("</b>")[0]: part for part in page.split('class="card list options"')[1].split("<b>")[1:]
    }
    assert "on local" in lines["Own build directories"]
    assert "switched off here" in lines["Build slots"]
    assert "the base on local is being built" in lines["Warm start"]
    assert "local: no user namespaces" in lines["One path for all"]
    assert "local: sccache is not installed" in lines["Compiler cache"]
    assert "Switch" not in page


def test_nothing_is_warm_without_own_directories(viewer, repository):
    BuildOptions.objects.create(repository=repository, own_directories=False)
    make_base(repository)

    page = words_of(viewer, f"/repositories/{repository.pk}/")

    assert page.count("needs own build directories") == 2


def test_an_operator_switches(operator, repository):
    address = f"/repositories/{repository.pk}/builds"
    answers = [
        operator.post(f"{address}/{option}", {"to": word}, headers={"HX-Request": "true"}).status_code
        for option, word in (("slots", "off"), ("scheme", "strict"), ("slots", "maybe"), ("eggs", "on"))
    ]

    options = BuildOptions.objects.get(repository=repository)
    assert answers == [204, 204, 409, 409]
    assert (options.slots, options.scheme, options.warm_start) == (False, "strict", True)


def test_what_is_not_there_yet_is_said_to_be_so(viewer):
    assert "There is no base yet" in words_of(viewer, "/builds/bases/")
    assert "No host has told of a compiler cache yet" in words_of(viewer, "/builds/caches/")
    assert not Base.objects.exists()


def test_build_directories_of_one_repository(viewer, repository):
    make_build_directory(path="/srv/a", repository=repository)
    make_build_directory(path="/srv/b")

    page = words_of(viewer, "/builds/directories/?repository=ingest")

    assert "/srv/a" in page
    assert "/srv/b" not in page
