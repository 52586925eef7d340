import pytest

from apps.fleet.models import Host
from apps.workspaces.models import Repository
from tests.factories import make_host, make_repository

pytestmark = pytest.mark.django_db


def test_it_adds_a_repository_by_its_path(operator, git):
    answer = operator.post(
        "/repositories/", {"path_or_url": str(git.place), "name": "ingest", "target": ""}, follow=True
    )

    assert Repository.objects.get().name == "ingest"
    assert "ingest is registered" in answer.content.decode()


@pytest.mark.parametrize(
    ("path", "words"),
    [("/nowhere/at/all", "is not a directory"), ("/", "git repository"), ("", "Give the path")],
)
def test_it_says_what_is_wrong_and_keeps_what_was_typed(operator, path, words):
    answer = operator.post("/repositories/", {"path_or_url": path, "name": "kept", "target": ""})

    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert 'value="kept"' in answer.content.decode()
    assert not Repository.objects.exists()


def test_it_shows_why_a_clone_failed(operator):
    make_repository("broken", state="failed", url="https://example.org/x.git", problem="fatal: not found")

    html = operator.get("/repositories/").content.decode()

    assert "fatal: not found" in html
    assert "/waves/new/?repository=broken" not in html


def test_it_leads_from_a_repository_to_its_wave(operator, git):
    make_repository("ingest", path=str(git.place))

    assert "/waves/new/?repository=ingest" in operator.get("/repositories/").content.decode()
    page = operator.get("/waves/new/?repository=ingest").content.decode()
    assert '<option value="ingest" selected>' in page


def test_it_shows_topology_memory_pressure_and_disk(operator):
    make_host(usable_cpus=6.0, memory_pressure=None)

    html = operator.get("/hosts/").content.decode().replace("\u202f", " ")

    assert "8 logical CPUs on 4 cores, 6 usable" in html
    assert "16.0 GB of 32.0 GB" in html
    assert "210 GB free of 500 GB" in html
    assert "not offered by its kernel" in html


def test_it_shows_a_host_that_has_reported_nothing_yet(operator):
    Host.objects.create(name="new")

    html = operator.get("/hosts/").content.decode()

    assert "not reported yet" in html
    assert "unknown" in html


def test_it_drains_a_host_and_opens_it_again(operator):
    host = make_host()

    operator.post(f"/hosts/{host.pk}/do/drain")
    host.refresh_from_db()
    assert host.draining

    operator.post(f"/hosts/{host.pk}/do/open")
    host.refresh_from_db()
    assert not host.draining


def test_a_host_says_which_presets_it_can_start(operator):
    equipment = {"programs": {"aider": "", "codex": "/usr/bin/codex", "drill": "/usr/bin/python3"}}
    make_host(equipment=equipment | {"presets_problem": "mine.toml: no “argv”"})

    page = operator.get("/hosts/").content.decode()

    assert "codex, drill; not installed: aider" in page
    assert "mine.toml: no “argv”" in page
