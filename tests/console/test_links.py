"""Links lead somewhere."""

import re
from html import unescape

import pytest

from tests.factories import make_event, make_host, make_member, make_repository, make_wave

pytestmark = pytest.mark.django_db

PAGES = [
    "/",
    "/waves/",
    "/waves/w1/",
    "/waves/new/",
    "/agents/",
    "/agents/9000001/",
    "/repositories/",
    "/hosts/",
    "/service-levels/",
    "/events/",
]
HREF = re.compile(r'(?:href|hx-get)="([^"]+)"')


def test_it_has_no_link_that_leads_nowhere(admin):
    make_host()
    wave = make_wave("w1", repository=make_repository("ingest"))
    agent = make_member(wave, pk=9_000_001)
    for state in ("waiting", "failed", "failed", "failed", "lost"):
        make_member(wave, state=state)
    make_wave("w0", state="done")
    for topic, pk, subject in (
        ("agent", agent.pk, agent.name),
        ("wave", wave.pk, "w1"),
        ("repository", 1, "ingest"),
    ):
        make_event(f"{subject} changed", topic=topic, subject_id=pk, subject=subject)

    found = {
        page: {unescape(href) for href in HREF.findall(admin.get(page).content.decode())} for page in PAGES
    }

    asked = 0
    for page, hrefs in found.items():
        for href in hrefs:
            if href.startswith(("#", "/static/")):
                continue
            target = page + href if href.startswith("?") else href
            assert admin.get(target, follow=True).status_code == 200, f"{href} on {page}"
            asked += 1
    assert asked > 60


def test_it_names_posts_that_exist(operator):
    make_host()
    make_member(make_wave("w1"), pk=9_000_001)

    for page in ("/", "/waves/w1/", "/agents/9000001/", "/hosts/"):
        for target in re.findall(r'hx-post="([^"]+)"', operator.get(page).content.decode()):
            assert operator.get(target).status_code == 405, f"{target} on {page}"
