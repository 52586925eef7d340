"""Pages run only our own scripts, ask no other machine for anything, and show text from outside as text."""

import re
from html.parser import HTMLParser

import pytest

from apps.fleet.models import State
from apps.fleet.places import run_dir
from tests.factories import make_agent, make_event, make_host, make_member, make_repository, make_wave

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
    "/events/",
]
EVIL = "<script>alert('x')</script>\x1b[31mred\x1b[0m\x1b]0;title\x07\u202egnp"
ADDRESS = re.compile(r"^(?:[a-z]+:)?//", re.IGNORECASE)


class Reader(HTMLParser):
    """Collects what could run or load something."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[dict[str, str | None]] = []
        self.handlers: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "script":
            self.scripts.append(given)
        self.handlers += [name for name in given if name.startswith(("on", "hx-on"))]
        links = ("src", "srcset", "data") if tag == "a" else ("src", "href", "srcset", "data", "action")
        self.loads += [given[name] or "" for name in links if name in given]


@pytest.fixture(autouse=True)
def _rows(db):
    make_host()
    wave = make_wave(
        "w1", repository=make_repository("ingest"), title=EVIL, prompt=EVIL, command=["echo", EVIL]
    )
    agent = make_member(wave, pk=9_000_001, activity=EVIL, reason=EVIL, role=EVIL[:40], prompt=EVIL)
    make_member(wave, state=State.WAITING, activity=EVIL)
    make_member(wave, state=State.FAILED, reason=EVIL)
    make_agent(f"w9/{EVIL}"[:80])
    make_event(EVIL, subject=EVIL)
    make_repository("broken", state="failed", problem=EVIL, url=f"https://example.org/{EVIL}")
    log = run_dir(agent)
    log.mkdir(parents=True)
    (log / "segment").write_text("1000000")
    (log / "out.1").write_text(f"one\n{EVIL}\n{EVIL} unfinished")


@pytest.mark.parametrize("page", [*PAGES, "/sign-in"])
def test_it_sends_a_policy_that_allows_only_its_own_scripts(operator, page):
    policy = operator.get(page, follow=True)["Content-Security-Policy"]

    directives = dict(part.strip().split(" ", 1) for part in policy.split(";") if part.strip())
    assert directives["script-src"] == "'self'"
    assert directives["object-src"] == "'none'"
    assert directives["frame-ancestors"] == "'none'"
    assert directives["connect-src"] == "'self'"


@pytest.mark.parametrize("page", PAGES)
def test_it_has_no_inline_script_and_no_inline_handler(operator, page):
    reader = Reader()
    reader.feed(operator.get(page).content.decode())

    assert reader.scripts
    assert all(script.get("src", "").startswith("/static/") for script in reader.scripts)
    assert reader.handlers == []


@pytest.mark.parametrize("page", PAGES)
def test_it_loads_nothing_from_another_machine(operator, page):
    reader = Reader()
    reader.feed(operator.get(page).content.decode())

    assert [load for load in reader.loads if ADDRESS.match(load)] == []


@pytest.mark.parametrize("page", PAGES)
def test_it_shows_text_from_outside_as_text(operator, page):
    html = operator.get(page).content.decode()

    assert "<script>alert" not in html
    assert "\x1b" not in html
    assert "\u202e" not in html


@pytest.mark.parametrize("page", ["/agents/9000001/log/", "/agents/9000001/log/search/?text=alert"])
def test_it_gives_out_a_log_as_json_without_escapes(operator, page):
    answer = operator.get(page)

    assert answer["Content-Type"] == "application/json"
    assert b"alert('x')" in answer.content
    assert "\x1b" not in str(answer.json())
    assert "title" not in str(answer.json())


def test_it_offers_the_raw_log_only_as_a_download(operator):
    answer = operator.get("/agents/9000001/log/download/")

    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["Content-Disposition"].startswith("attachment;")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert b"".join(answer.streaming_content).startswith(b"one\n<script>")


@pytest.mark.parametrize("page", [*PAGES, "/live/menu/", "/agents/9000001/log/", "/admin/"])
def test_it_leaves_no_copy_for_whoever_comes_after_signing_out(admin, page):
    assert "no-store" in admin.get(page)["Cache-Control"]


@pytest.mark.parametrize("page", PAGES)
def test_it_tells_htmx_to_run_nothing(operator, page):
    html = operator.get(page).content.decode()

    assert '"allowEval": false' in html
    assert '"includeIndicatorStyles": false' in html
