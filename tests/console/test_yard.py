"""What the yard says: attention, numbers, charts, empty states."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from apps.console import display
from apps.console.charts import chart_data, top_series
from apps.console.moment import Moment
from apps.console.regions import View
from apps.console.yard.attention import items
from apps.console.yard.numbers import numbers, versus_before
from apps.events.domain.actor import Role
from apps.fleet.models import State
from apps.waves.models import WaveState
from tests.console.figures import made_up_snapshot, publish
from tests.factories import GB, make_agent, make_host, make_member, make_repository, make_wave

pytestmark = pytest.mark.django_db


def now() -> datetime:
    return datetime.now(UTC)


def said() -> list[tuple[str, str, str]]:
    return [(item.tag, item.subject, item.text) for item in items(Moment(now()))]


def test_it_says_that_nothing_needs_a_person(operator):
    make_host()
    make_member(make_wave("w1"))

    assert said() == []
    assert "Nothing needs a person" in operator.get("/").content.decode()


def test_it_puts_questions_first():
    make_host()
    wave = make_wave("w1", repository=make_repository("ingest"))
    make_member(wave, state=State.FAILED, reason="exit 1")
    make_member(wave, state=State.WAITING, activity="Drop the column?")
    make_host("builder", heartbeat_at=now() - timedelta(seconds=3))

    assert [tag for tag, _, _ in said()] == ["input", "failed", "host degraded"]
    assert said()[0] == ("input", "w1/agent-02", "asks: “Drop the column?”")


def test_it_gathers_many_failures_of_a_wave_into_one_line():
    make_host()
    wave = make_wave("w1")
    for number in range(7):
        make_member(wave, state=State.FAILED, reason="exit 1" if number < 5 else "exit 2")

    assert said() == [("failed", "w1", "7 agents failed: exit 1 (5), exit 2 (2)")]


def test_it_forgets_failures_of_waves_that_ended_long_ago():
    make_host()
    make_agent("w0/agent-01", state=State.FAILED, ended_at=now() - timedelta(hours=2))
    make_agent("w0/agent-02", state=State.FAILED, ended_at=now() - timedelta(minutes=2))
    make_agent("w0/agent-03", state=State.FAILED, ended_at=now(), restart_at=now())

    assert [subject for _, subject, _ in said()] == ["w0/agent-02"]


def test_it_names_waves_that_their_gate_or_the_machine_holds_up():
    make_wave(
        "w1", state=WaveState.PAUSED, reason="step 2 failed its health gate: 3 of 4 agents never came up"
    )
    make_wave("w2", state=WaveState.PAUSED, reason="by otto")
    make_wave("w3", waiting_for="local: memory: 400 MB wanted, 0 MB left to promise")
    make_wave("w4", waiting_for="step 2 to come up")

    assert [(tag, subject) for tag, subject, _ in said()] == [("held", "w1"), ("capacity", "w3")]


@pytest.mark.parametrize(
    ("age", "tag"), [(1, None), (3, "host degraded"), (6, "host critical"), (60, "host failed")]
)
def test_it_names_hosts_by_the_age_of_their_heartbeat(age, tag):
    make_host(heartbeat_at=now() - timedelta(seconds=age))

    assert [found[0] for found in said()] == ([tag] if tag else [])


def test_it_says_when_the_figures_stand_still(redis_server):
    make_host()
    agent = make_member(make_wave("w1"))
    publish(made_up_snapshot([agent.pk], ["w1"], at=now().timestamp() - 60))

    assert said() == [("figures", "Figures", "are not renewed: is the telemetry process running?")]


def test_it_shows_no_data_as_a_dash_and_never_as_zero():
    make_host()
    shown = {number.title: number for number in numbers(View("yard_numbers", Role.VIEWER), Moment(now()))}

    assert shown["Throughput"].value == display.NONE
    assert shown["Latency p95"].value == display.NONE
    assert shown["Errors"].note == "no samples yet"


def test_it_shows_numbers_with_unit_and_comparison(redis_server):
    make_host()
    wave = make_wave("w1")
    agents = [make_member(wave, memory_bytes=GB) for _ in range(4)]
    make_member(wave, state=State.WAITING, memory_bytes=0)
    publish(made_up_snapshot([agent.pk for agent in agents], ["w1"]))

    shown = {number.title: number for number in numbers(View("yard_numbers", Role.VIEWER), Moment(now()))}

    assert (shown["Agents"].value, shown["Agents"].unit, shown["Agents"].note) == (
        "4",
        "of 5 busy",
        "1 waiting",
    )
    assert (shown["Latency p95"].value, shown["Latency p95"].note) == ("21", "target 200 met · mean 12")
    assert (shown["Lock wait"].value, shown["Lock wait"].note) == ("2.1", "most for build slot")
    assert shown["Memory"].value == "4.0"
    assert shown["Memory"].note.startswith("of 19.5\u202fGB · admission open")


def test_it_says_when_admission_is_closed():
    make_host(memory_pressure=80.0)

    shown = {number.title: number for number in numbers(View("yard_numbers", Role.VIEWER), Moment(now()))}

    assert shown["Memory"].note.endswith("admission closed")
    assert shown["Memory"].tone == "bad"


def test_it_draws_the_largest_series_and_sums_up_the_rest():
    series = {f"w{number}": [float(number)] * 3 for number in range(1, 8)}

    assert top_series(series) == {"w5": [5.0] * 3, "w6": [6.0] * 3, "w7": [7.0] * 3, "others": [10.0] * 3}


def test_it_gives_charts_the_target_and_the_limit():
    data = json.loads(chart_data(made_up_snapshot([1], ["w1"]), 20 * GB, 200.0))

    assert data["latency"]["target"] == 200
    assert data["memory"]["target"] == 20
    assert len(data["times"]) == len(data["latency"]["lines"]["p95"])
    assert json.loads(chart_data(None, None, None)) == {"times": []}


@pytest.mark.parametrize(
    ("now", "before", "text"),
    [
        (15.0, 10.0, "+50 % on the 5 min before"),
        (8.0, 10.0, "−20 % on the 5 min before"),
        (10.2, 10.0, "as in the 5 min before"),
        (10.0, 0.0, ""),
        (10.0, None, ""),
    ],
)
def test_it_compares_throughput_with_the_equally_long_period_before(now, before, text):
    assert versus_before(now, before, "5 min") == text


def test_it_says_how_throughput_changed_only_where_it_knows(redis_server):
    made_up = made_up_snapshot([1, 2], ["w1"])
    made_up.totals.throughput_before = made_up.totals.throughput / 2
    publish(made_up)
    view = View("yard_numbers", Role.VIEWER)

    assert numbers(view, Moment(now()))[1].note == "+100 % on the 5 min before"

    made_up.totals.throughput_before = None
    publish(made_up)
    assert numbers(view, Moment(now()))[1].note == f"{display.number(made_up.totals.operations)} in 5 min"


def test_it_leads_through_the_first_run(operator, viewer):
    html = operator.get("/").content.decode()

    assert "Nothing runs here yet" in html
    assert "python manage.py up" in html
    assert "manage.py repository add" in html


def test_it_ends_the_first_run_when_the_first_agent_is_planned(operator):
    before = operator.get("/live/yard_first_run/").content.decode()
    make_agent(state=State.PLANNED)

    after = operator.get("/live/yard_first_run/").content.decode()

    assert "data-reload" not in before
    assert "data-reload" in after
    assert "yard_first_run" not in operator.get("/").content.decode()


def test_it_says_when_no_wave_runs_and_offers_one_to_who_may_start_it(operator, viewer):
    make_agent(state=State.EXITED)

    assert "No wave is running" in operator.get("/").content.decode()
    assert "New wave" in operator.get("/live/yard_waves/").content.decode()
    assert "New wave" not in viewer.get("/live/yard_waves/").content.decode()


def test_it_offers_each_open_wave_as_a_filter_that_keeps_the_state(operator):
    make_host()
    for label in ("w1", "w2"):
        make_member(make_wave(label))

    html = operator.get("/live/yard_waves/?state=busy&wave=w1").content.decode()

    assert 'href="?state=busy&amp;wave=w2"' in html
    assert 'href="?state=busy"' in html


@pytest.mark.parametrize("page", ["/waves/", "/agents/", "/repositories/", "/hosts/", "/events/"])
def test_it_says_something_useful_where_there_is_nothing(operator, page):
    html = operator.get(page).content.decode()

    assert any(words in html for words in ("manage.py", "agents start with", "is written down here"))


def test_it_filters_agents_by_state_wave_and_text(operator):
    make_host()
    for label in ("w1", "w2"):
        wave = make_wave(label)
        make_member(wave, activity="cargo test")
        make_member(wave, state=State.FAILED, reason="exit 1")

    def rows(query: str) -> int:
        return operator.get(f"/live/yard_waves/{query}").content.decode().count("<tr id=")

    assert rows("") == 4
    assert rows("?state=failed") == 2
    assert rows("?state=failed&wave=w2") == 1
    assert rows("?q=cargo") == 2
    assert rows("?q=nothing") == 0


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 MB"), (5_000, "5 KB"), (164 * 1024**2, "164 MB"), (int(11.4 * GB), "11.4 GB"), (None, "–")],
)
def test_it_writes_sizes_for_people(size, text):
    assert display.size_text(size).replace(display.NARROW, " ") == text


def test_it_draws_no_sparkline_where_nothing_happened():
    assert display.sparkline([0.0] * 24) == ""
    assert display.sparkline([0.0, 1.0], width=10, height=10) == "0,9 10,1"
