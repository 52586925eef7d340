"""The page of the service levels."""

import re
import time

import pytest

from apps.telemetry.service_levels import FILE
from tests.console.figures import made_up_snapshot, publish

pytestmark = pytest.mark.django_db


def lines(html: str) -> dict[str, str]:
    """The text of each row, by its level."""
    rows = re.findall(r"<tr>\s*<th scope=\"row\">(.*?)</th>(.*?)</tr>", html, re.DOTALL)
    return {words(title): words(rest) for title, rest in rows}


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_it_shows_target_measured_figure_and_verdict(operator, redis_server):
    publish(made_up_snapshot([1], ["w1"], at=time.time()))

    page = operator.get("/service-levels/").content.decode()

    assert lines(page)["Latency p95"].startswith("below 200 ms 21 ms ✓ met")
    assert lines(page)["Load balance"].startswith("at least 70 % 86 % ✓ met")
    assert "5 of 5 met, none missed · the whole yard over 5 min" in page


def test_it_takes_the_window_from_the_address(operator, redis_server):
    publish(made_up_snapshot([1], ["w1"], window=60, at=time.time()))

    assert "met" in lines(operator.get("/service-levels/?window=1m").content.decode())["Latency p50"]
    assert "no data" in lines(operator.get("/service-levels/?window=1h").content.decode())["Latency p50"]


def test_it_says_why_there_is_no_data(operator, redis_server):
    publish(made_up_snapshot([1], ["w1"], at=time.time()))

    found = lines(operator.get("/service-levels/").content.decode())

    assert found["Commits"].startswith("at least 200 commits/s – ○ no data")
    assert "nothing in the yard measures it yet" in found["Auto-resolution"]
    assert "not in this span" in found["Coordination efficiency"]


def test_it_shows_no_figure_before_there_are_any(operator):
    page = operator.get("/service-levels/").content.decode()

    assert "No data to judge by" in page
    assert all("no data" in line for line in lines(page).values())
    assert "published nothing yet" in lines(page)["Latency p50"]


def test_it_says_so_when_figures_are_not_renewed(operator, redis_server):
    publish(made_up_snapshot([1], ["w1"], at=time.time() - 600))

    assert "is the telemetry process running?" in operator.get("/service-levels/").content.decode()


def test_the_operator_s_targets_hold_on_every_page(operator, redis_server, settings):
    (settings.SWARMYARD_HOME / FILE).write_text("p95_ms = 12\nload_balance = false\n")
    publish(made_up_snapshot([1], ["w1"], at=time.time()))

    found = lines(operator.get("/service-levels/").content.decode())

    assert found["Latency p95"].startswith("below 12 ms 21 ms ✕ missed")
    assert found["Load balance"].startswith("none 86 % · no target")
    assert "target 12 missed" in operator.get("/live/yard_numbers/").content.decode()
    assert "p95 target 12 ms" in operator.get("/live/yard_charts/").content.decode()


def test_it_shows_what_is_wrong_with_the_file(operator, settings):
    (settings.SWARMYARD_HOME / FILE).write_text("p95_ms = '<b>'\n")

    page = operator.get("/service-levels/").content.decode()

    assert "p95_ms = &#x27;&lt;b&gt;&#x27; must be a number" in page
    assert "below 200 ms" in lines(page)["Latency p95"]
