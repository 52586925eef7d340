"""The pages in a real browser."""

import os
import shutil
import time
from collections.abc import Callable, Iterator

import pytest

from apps.events.hints import publish as hint
from tests.console.figures import made_up_snapshot, publish
from tests.console.yard_for_browsers import PASSWORD, Yard
from tests.needs import require

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PAGES = [
    "/",
    "/?window=1m&state=busy&q=agent",
    "/waves/",
    "/waves/w1/",
    "/waves/w2/",
    "/waves/new/",
    "/agents/",
    "/agents/?sort=p95&state=all",
    "/agents/1/",
    "/builds/",
    "/builds/?state=failed&mode=check",
    "/builds/2/",
    "/builds/12/analysis/",
    "/builds/waits/",
    "/builds/directories/",
    "/builds/bases/",
    "/builds/caches/",
    "/repositories/",
    "/repositories/1/",
    "/hosts/",
    "/compare/",
    "/spending/",
    "/service-levels/",
    "/service-levels/?window=1h",
    "/spending/",
    "/events/",
]
# Tables that are wider than their card: they would scroll inside themselves.
WIDE_TABLES = (
    "[...document.querySelectorAll('.scroll')].filter(box => box.scrollWidth > box.clientWidth + 1).length"
)
AGENTS = range(1, 10)


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    require("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        if os.environ.get("CI"):
            pytest.fail("CI must run this: playwright is not installed")
        pytest.skip("playwright is not installed")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    # Playwright's own loop in this thread would make Django refuse the database to this process's other tests.
    previous = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield started
        started.close()
    if previous is None:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture(scope="module")
def yard(browser, _redis_process, tmp_path_factory) -> Iterator[Yard]:
    home = tmp_path_factory.mktemp("yard")
    yard = Yard(home, _redis_process.url)
    yard.prepare()
    yard.start()
    yield yard
    yard.stop()


@pytest.fixture(autouse=True)
def figures(yard, settings) -> Callable[[int], None]:
    """Publishes figures as the telemetry process does; a test calls it for more."""
    settings.REDIS_URL = yard.redis_url

    def tick(number: int) -> None:
        for window in (60, 300, 3600):
            publish(made_up_snapshot(AGENTS, ["w1", "w2"], window=window, at=time.time(), tick=number))
            hint("telemetry", window)

    tick(1)
    return tick


@pytest.fixture(scope="module")
def cookies(browser, yard) -> Callable[[str], list[dict[str, object]]]:
    """The cookies of a person with this role, who signs in once."""
    known: dict[str, list[dict[str, object]]] = {}

    def of(role: str) -> list[dict[str, object]]:
        if role not in known:
            context = browser.new_context()
            page = context.new_page()
            page.goto(f"{yard.address}/sign-in")
            page.fill("#username", role)
            page.fill("#password", PASSWORD)
            page.click("button >> text=Sign in")
            known[role] = context.cookies()
            context.close()
        return known[role]

    return of


@pytest.fixture
def opened(browser, yard, cookies) -> Iterator[Callable[..., object]]:
    """Opens a page as a person with a role; what went wrong in it is in `page.troubles`."""
    contexts = []

    def open_page(path: str = "/", *, width: int = 1440, theme: str = "light", role: str = "operator"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
        contexts.append(context)
        context.add_cookies(cookies(role))
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.troubles = []
        page.on("console", lambda said: said.type == "error" and page.troubles.append(said.text))
        page.on("pageerror", lambda error: page.troubles.append(str(error)))
        page.on(
            "request", lambda request: is_foreign(request.url, yard) and page.troubles.append(request.url)
        )
        page.goto(yard.address + path)
        return page

    yield open_page
    for context in contexts:
        context.close()


def is_foreign(url: str, yard: Yard) -> bool:
    return not url.startswith((yard.address, "data:", "blob:"))


def wait_live(page) -> None:
    page.wait_for_selector("#live[data-state=live]")


def wait_toast(page, text: str) -> None:
    from playwright.sync_api import TimeoutError

    try:
        page.wait_for_selector(f"#toasts >> text={text}")
    except TimeoutError:
        pytest.fail(
            f"no {text!r} in {page.inner_text('#toasts')!r}; {page.troubles}; {page.inner_text('#main')}"
        )


@pytest.mark.parametrize(
    ("width", "theme"),
    [
        (1440, "light"),
        pytest.param(400, "dark", marks=pytest.mark.slow),
        pytest.param(1440, "dark", marks=pytest.mark.slow),
        pytest.param(400, "light", marks=pytest.mark.slow),
    ],
)
def test_it_opens_every_page_without_error_overflow_or_foreign_request(opened, yard, width, theme):
    page = opened(width=width, theme=theme)

    for path in PAGES:
        page.goto(yard.address + path)
        wait_live(page)
        assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0, path
        assert page.evaluate(WIDE_TABLES) == 0, path
        assert page.evaluate("document.documentElement.dataset.bsTheme") == theme

    assert page.troubles == []


def test_it_draws_the_charts(opened):
    page = opened()
    wait_live(page)

    for key in ("throughput", "latency", "wait", "memory"):
        page.locator(f"[data-chart={key}]").scroll_into_view_if_needed()
        page.wait_for_selector(f"[data-chart={key}] .plot svg .scatterlayer path")
        assert page.locator(f"[data-chart={key}] .keys span").count() >= 1
    assert page.troubles == []


def test_it_shows_the_same_moment_in_all_charts(opened):
    page = opened()
    page.set_viewport_size({"width": 1440, "height": 1600})
    page.wait_for_selector("[data-chart=memory] .plot svg .scatterlayer path")

    page.hover("[data-chart=throughput] .plot")

    times = page.eval_on_selector_all(".cross:not([hidden])", "lines => lines.map(line => line.dataset.time)")
    assert len(times) == 4
    assert len(set(times)) == 1


def test_it_changes_a_page_in_place_whenfigures_come_in(opened, figures):
    page = opened()
    wait_live(page)
    page.evaluate("document.querySelector('#agent-1').marked = true")
    before = page.inner_text("#agent-1")

    for number in range(2, 6):
        figures(number)
        time.sleep(0.3)

    page.wait_for_function("before => document.querySelector('#agent-1').innerText !== before", arg=before)
    assert page.evaluate("document.querySelector('#agent-1').marked")
    assert page.evaluate("document.querySelector('#agent-1').children.length") == 9
    assert page.troubles == []


def test_it_sees_a_push_soon_after_its_tick(opened, figures):
    page = opened()
    wait_live(page)
    for number in range(2, 12):
        figures(number)
        time.sleep(0.3)

    delays = sorted(page.evaluate("window.swarmyard.pushes.map(push => (push.seenAt - push.tickAt) * 1000)"))

    assert len(delays) >= 5
    assert delays[-1] < 5_000  # how fast it is, bench/dashboard.py measures


def test_it_acts_through_the_menu_of_a_row(opened):
    page = opened()
    wait_live(page)

    page.click("#menu-2")
    assert page.locator("#row-menu [role=menuitem]").all_inner_texts() == ["Pause", "Stop", "Kill", "Restart"]
    page.click("#row-menu >> text=Pause")

    wait_toast(page, "w1/agent-02 is being paused.")
    page.wait_for_selector("#agent-2 .state >> text=pausing")
    assert page.troubles == []


def test_it_asks_before_it_kills_and_takes_no_for_an_answer(opened):
    page = opened("/agents/9/")
    wait_live(page)

    page.click("#do-kill")
    assert "w1/agent-09" in page.inner_text("#confirm-text")
    assert page.evaluate("document.activeElement.id") == "confirm-no"
    page.keyboard.press("Enter")
    page.wait_for_selector("#confirm", state="hidden")
    assert page.locator("#toasts .toast-line").count() == 0

    page.click("#do-kill")
    page.click("#confirm-yes")
    wait_toast(page, "w1/agent-09 is being ended.")


@pytest.mark.parametrize(
    ("address", "said"), [("/agents/3/do/pause", "w1/agent-03"), ("/waves/w0/do/pause", "w0 is done")]
)
def test_it_says_what_came_of_an_action_whose_button_was_replaced_meanwhile(opened, address, said):
    page = opened("/agents/3/")
    wait_live(page)
    page.evaluate(
        """address => {
            const button = document.createElement("button");
            button.setAttribute("hx-post", address);
            document.querySelector("#main").append(button);
            htmx.process(button);
            button.click();
            button.remove();
        }""",
        address,
    )

    wait_toast(page, said)


def test_it_says_why_an_action_is_refused(opened, yard):
    page = opened("/waves/w0/")
    wait_live(page)
    page.evaluate("htmx.ajax('POST', '/waves/w0/do/pause', {source: '#main', swap: 'none'})")

    page.wait_for_selector("#toasts .bad >> text=w0 is done")


def test_it_stands_still_while_it_is_paused_and_catches_up(opened, figures):
    page = opened()
    wait_live(page)
    page.click("#pause-view")
    page.wait_for_selector("#live[data-state=paused]")
    page.wait_for_timeout(300)
    seen = page.evaluate("window.swarmyard.pushes.length")
    figures(21)
    page.wait_for_timeout(1200)
    assert page.evaluate("window.swarmyard.pushes.length") == seen

    page.click("#pause-view")

    page.wait_for_function("seen => window.swarmyard.pushes.length > seen", arg=seen)
    wait_live(page)


@pytest.mark.slow
def test_it_polls_and_says_so_where_no_websocket_can_be_had(opened, yard, figures):
    page = opened("/static/img/icon.svg")
    page.route_web_socket("**/ws/**", lambda socket: socket.close(code=1011))
    page.goto(yard.address)
    page.wait_for_selector("#live[data-state=polling]")
    before = page.inner_text("#agent-1")
    for number in range(31, 34):
        figures(number)

    page.wait_for_function("before => document.querySelector('#agent-1').innerText !== before", arg=before)
    assert page.inner_text("#live-word") == "polling"


@pytest.mark.slow
def test_it_connects_again_after_the_web_process_came_back(opened, yard):
    page = opened()
    wait_live(page)

    yard.stop()
    page.wait_for_selector("#live[data-state=reconnecting]")
    yard.start()

    page.wait_for_selector("#live[data-state=live]", timeout=20_000)


def test_it_keeps_the_theme_that_was_chosen(opened, yard):
    page = opened()

    page.click("[data-theme-choice=dark]")
    page.goto(f"{yard.address}/hosts/")

    assert page.evaluate("document.documentElement.dataset.bsTheme") == "dark"
    assert page.get_attribute("[data-theme-choice=dark]", "aria-pressed") == "true"


def test_it_follows_a_log_as_it_grows(opened, yard):
    page = opened("/agents/1/")
    wait_live(page)
    assert "03999 compiling <script>alert(1)</script>" in page.inner_text("#log-lines")
    at_end = "document.querySelector('#log-box').scrollHeight - document.querySelector('#log-box').scrollTop"
    assert page.evaluate(f"{at_end} - document.querySelector('#log-box').clientHeight") < 24

    with (yard.home / "runs" / "1" / "1" / "out.1").open("ab") as log:
        log.write(b"\x1b[31mwarning:\x1b[0m a fresh line\nContinue? ")

    page.wait_for_selector("#log-lines >> text=warning: a fresh line")
    page.wait_for_selector("#log-partial >> text=Continue?")
    assert page.troubles == []


def test_it_loads_earlier_output_and_searches_all_of_it(opened):
    page = opened("/agents/1/")
    wait_live(page)
    assert "00001 compiling" not in page.inner_text("#log-lines")

    while page.is_visible("#log-earlier"):
        length = len(page.inner_text("#log-lines"))
        page.click("#log-earlier")
        page.wait_for_function("n => document.querySelector('#log-lines').innerText.length > n", arg=length)
    assert page.inner_text("#log-lines").startswith("00000 compiling")
    assert page.get_attribute("#log-follow", "aria-pressed") == "false"

    page.fill("#log-text", "00017 comp")
    page.press("#log-text", "Enter")
    page.wait_for_selector("#log-found mark")
    assert "1 line" in page.inner_text("#log-found")
    assert page.troubles == []


def test_it_shows_the_changes_of_an_agent(opened):
    page = opened("/agents/1/")

    page.wait_for_selector(".diff .added")

    assert "return '<b>2</b>'" in page.inner_text(".diff .added")


def test_it_previews_a_wave_while_the_form_is_filled_in(opened):
    page = opened("/waves/new/")
    page.wait_for_selector("#plan >> text=8 in 1 step")

    page.fill("#id_agents", "45")
    page.wait_for_selector("#plan >> text=45 in 3 steps: 20, 20, 5")
    page.fill("#id_agents", "0")
    page.wait_for_selector("#problem-agents >> text=greater than or equal to 1")

    assert page.troubles == []


def test_it_can_be_used_with_the_keyboard_alone(opened):
    page = opened()
    wait_live(page)

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.focus("#menu-3")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "menuitem"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Escape")
    assert not page.is_visible("#row-menu")


def test_it_keeps_the_focus_while_rows_change_under_it(opened, figures):
    page = opened()
    wait_live(page)
    page.focus("#menu-3")

    for number in range(41, 44):
        figures(number)
        page.wait_for_timeout(300)

    assert page.evaluate("document.activeElement.id") == "menu-3"


def test_it_folds_the_menu_on_a_phone(opened):
    page = opened(width=400)
    assert not page.is_visible("#menu-panel")

    page.click("#fold")

    assert page.is_visible("#menu-panel")
    assert page.get_attribute("#fold", "aria-expanded") == "true"


def test_it_shows_a_viewer_no_way_to_act(opened):
    page = opened(role="viewer")
    wait_live(page)
    page.wait_for_timeout(1100)

    assert page.locator("[hx-post], [data-menu]").count() == 0
    assert page.troubles == []
