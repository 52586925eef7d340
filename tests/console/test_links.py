"""Links lead somewhere."""

import re
from html import unescape

import pytest

from tests.factories import (
    make_alert,
    make_base,
    make_build,
    make_build_directory,
    make_compiler_cache,
    make_destination,
    make_event,
    make_host,
    make_lock_wait,
    make_member,
    make_ongoing_wait,
    make_repository,
    make_wave,
)

pytestmark = pytest.mark.django_db

PAGES = [
    "/",
    "/waves/",
    "/waves/w1/",
    "/waves/new/",
    "/agents/",
    "/agents/9000001/",
    "/builds/",
    "/builds/9000001/",
    "/builds/waits/",
    "/builds/directories/",
    "/builds/bases/",
    "/builds/caches/",
    "/repositories/",
    "/repositories/9000001/",
    "/hosts/",
    "/service-levels/",
    "/events/",
    "/alerts/",
    *(f"/alerts/{pk}/" for pk in range(9_000_001, 9_000_005)),
    "/alerts/rules/",
    "/alerts/silences/",
    "/alerts/destinations/",
]
HREF = re.compile(r'(?:href|hx-get)="([^"]+)"')


def test_it_has_no_link_that_leads_nowhere(admin):
    make_host()
    repository = make_repository("ingest", pk=9_000_001)
    wave = make_wave("w1", repository=repository)
    agent = make_member(wave, pk=9_000_001)
    make_base(repository, pk=9_000_001)
    make_compiler_cache()
    for state in ("waiting", "failed", "failed", "failed", "lost"):
        make_member(wave, state=state)
    make_wave("w0", state="done")
    make_alert(pk=9_000_001)
    make_alert("silent-agent", pk=9_000_002, subject_id=agent.pk, subject=agent.name)
    make_alert("stuck-wave", pk=9_000_003, subject_id=wave.pk, subject=wave.label)
    make_alert("disk", pk=9_000_004, subject_id=agent.host_id, subject="local")
    make_destination()
    build = make_build(agent, pk=9_000_001)
    make_lock_wait(build, holder=make_build(agent))
    make_lock_wait(make_build(agent), holder=build)
    make_build_directory(agent)
    make_ongoing_wait(make_build(agent, state="running", ended_at=None), holder=build)
    make_build(agent, state="waiting", began_at=None, ended_at=None)
    for topic, pk, subject in (
        ("agent", agent.pk, agent.name),
        ("wave", wave.pk, "w1"),
        ("repository", 1, "ingest"),
        ("alert", 9_000_001, "the yard"),
        ("alert", 9_000_555, "one that was dropped"),
    ):
        make_event(f"{subject} changed", topic=topic, subject_id=pk, subject=subject)

    found = {
        page: {unescape(href) for href in HREF.findall(admin.get(page).content.decode())} for page in PAGES
    }

    targets = {
        page + href if href.startswith("?") else href: page
        for page, hrefs in found.items()
        for href in hrefs
        if not href.startswith(("#", "/static/"))
    }
    for target, page in targets.items():
        assert admin.get(target, follow=True).status_code == 200, f"{target} on {page}"
    assert len(targets) > 60


def test_it_names_posts_that_exist(operator):
    make_host()
    repository = make_repository("ingest", pk=9_000_001)
    make_base(repository)
    make_compiler_cache()
    wave = make_wave("w1")
    agent = make_member(wave, pk=9_000_001)
    make_alert("silent-agent", pk=9_000_001, subject_id=agent.pk, subject=agent.name)
    make_alert("stuck-wave", pk=9_000_002, subject_id=wave.pk, subject=wave.label)
    make_alert("disk", pk=9_000_003, subject_id=agent.host_id, subject="local")
    make_destination()
    alerts = [f"/alerts/{rest}" for rest in ("", "9000001/", "9000002/", "9000003/", "destinations/")]

    tuned = ["/builds/bases/", "/builds/caches/", "/repositories/9000001/"]

    for page in ("/", "/waves/w1/", "/agents/9000001/", "/hosts/", *tuned, *alerts):
        for target in re.findall(r'hx-post="([^"]+)"', operator.get(page).content.decode()):
            assert operator.get(target).status_code == 405, f"{target} on {page}"
