"""One function renders a region for the page, for its refresh and for the push."""

from datetime import UTC, datetime

import pytest

from apps.console.catalogue import REGIONS
from apps.console.moment import Moment
from apps.console.regions import Fragment, View
from apps.events.domain.actor import Role
from apps.fleet.models import Agent, State
from tests.console.figures import made_up_snapshot, publish
from tests.factories import (
    make_alert,
    make_base,
    make_build,
    make_build_directory,
    make_compiler_cache,
    make_event,
    make_host,
    make_lock_wait,
    make_member,
    make_ongoing_wait,
    make_repository,
    make_wave,
)

pytestmark = pytest.mark.django_db

PAGE_REGIONS = {
    "/": [
        "menu?at=yard",
        "yard_attention",
        "yard_numbers",
        "yard_charts",
        "yard_waves",
        "yard_finished",
        "yard_feed",
    ],
    "/?state=failed&window=1m": ["yard_waves?window=1m&state=failed", "yard_numbers?window=1m"],
    "/waves/": ["menu?at=waves", "waves_table"],
    "/waves/w1/": ["wave_head?wave=w1", "wave_steps?wave=w1", "wave_agents?wave=w1", "wave_events?wave=w1"],
    "/agents/": ["agents_table"],
    "/agents/?q=agent-01&sort=p95": ["agents_table?q=agent-01&sort=p95"],
    "/agents/9000001/": [
        "agent_head?pk=9000001",
        "agent_facts?pk=9000001",
        "agent_numbers?pk=9000001",
        "agent_charts?pk=9000001",
        "agent_events?pk=9000001",
        "agent_builds?pk=9000001",
    ],
    "/builds/": ["menu?at=builds", "builds_numbers", "builds_waiting", "builds_table"],
    "/builds/?wave=w1&state=failed&mode=check": [
        "builds_numbers?wave=w1&mode=check",
        "builds_waiting?wave=w1&mode=check",
        "builds_table?state=failed&wave=w1&mode=check",
    ],
    "/builds/9000001/": ["build_shown?pk=9000001"],
    "/builds/waits/?window=1h": [
        "builds_waiting",
        "build_wait_chart?window=1h",
        "build_wait_pairs?window=1h",
    ],
    "/builds/directories/": ["build_directories"],
    "/builds/directories/?repository=ingest": ["build_directories?repository=ingest"],
    "/builds/bases/": ["build_bases"],
    "/builds/caches/": ["build_caches"],
    "/repositories/": ["repositories_list"],
    "/repositories/9000001/?window=1h": [
        "repository_head?window=1h&pk=9000001",
        "repository_builds?pk=9000001",
    ],
    "/hosts/": ["hosts_list"],
    "/service-levels/?window=1m": ["menu?at=levels", "service_levels?window=1m"],
    "/spending/": ["menu?at=spending", "spending"],
    "/events/": ["events_list"],
    "/alerts/": ["alerts_watch", "alerts_table"],
    "/alerts/?state=resolved": ["alerts_table?state=resolved"],
    "/alerts/9000001/": [f"{name}?pk=9000001" for name in ("alert_head", "alert_charts", "alert_agents")],
    "/alerts/rules/": ["alerts_watch"],
    "/alerts/silences/": ["silences_list"],
    "/alerts/destinations/": ["destinations_list", "deliveries_list"],
}
CASES = [(page, address) for page, addresses in PAGE_REGIONS.items() for address in addresses]


@pytest.fixture(autouse=True)
def _rows(db, redis_server):
    make_host()
    repository = make_repository("ingest", pk=9_000_001)
    make_base(repository)
    make_compiler_cache()
    wave = make_wave("w1", repository=repository)
    agents = [make_member(wave, pk=number) for number in range(9_000_001, 9_000_005)]
    make_member(wave, pk=9_000_009, state=State.FAILED, reason="exit 1")
    make_wave("w0", state="done", ended_at=datetime.now(UTC))
    make_event()
    make_alert(pk=9_000_001)
    make_lock_wait(make_build(agents[0], pk=9_000_001, state="failed", exit_code=101))
    make_build_directory(agents[0])
    make_ongoing_wait(make_build(agents[1], state="running", ended_at=None))
    for window in (60, 300):
        publish(made_up_snapshot([agent.pk for agent in agents], ["w1"], window=window))


def view(name: str, role: Role = Role.OPERATOR, **query: str) -> View:
    return REGIONS[name].view(query, role)


def render(shown: View) -> Fragment:
    return REGIONS[shown.region].render(shown, Moment(datetime.now(UTC)))


@pytest.mark.parametrize(("page", "address"), CASES)
def test_it_refreshes_a_region_with_what_the_page_holds(operator, page, address):
    name, _, query = address.partition("?")

    for _ in range(3):  # a wait that goes on grows: between the two it may come to its next second
        whole = operator.get(page).content.decode()
        alone = operator.get(f"/live/{name}/?{query}").content.decode()
        if alone.strip() in whole:
            break

    assert len(alone) > 30
    assert alone.strip() in whole


@pytest.mark.parametrize("page", PAGE_REGIONS)
def test_it_marks_each_region_with_the_address_that_refreshes_it(operator, page):
    html = operator.get(page).content.decode().replace("&amp;", "&")

    for address in PAGE_REGIONS[page]:
        name, _, query = address.partition("?")
        wanted = (
            REGIONS[name]
            .view(dict(part.split("=") for part in query.split("&") if part), Role.OPERATOR)
            .address
        )
        assert f'data-region="{wanted}"' in html


def test_it_counts_views_that_mean_the_same_as_one():
    plain = view("agents_table")

    assert view("agents_table", state="all", window="5m", page="1", sort="active", q="  ") == plain
    assert view("agents_table", window="9m", state="<b>", page="-3", unknown="1") == plain
    assert view("agents_table", state="failed") != plain
    assert view("agents_table", role=Role.VIEWER) != plain


def test_it_sends_only_the_rows_that_changed():
    shown = view("yard_waves")
    before = render(shown)
    Agent.objects.filter(pk=9_000_002).update(activity="committing")

    changes = render(shown).changes_since(before)

    assert len(changes) == 1
    assert changes[0].startswith('<tr id="agent-9000002"')
    assert "committing" in changes[0]


def test_it_sends_nothing_when_nothing_changed():
    for name in ("yard_waves", "yard_attention", "yard_numbers", "yard_feed", "menu"):
        shown = view(name)

        assert render(shown).changes_since(render(shown)) == []


def test_it_sends_the_whole_region_when_its_rows_are_others():
    shown = view("yard_waves")
    before = render(shown)
    Agent.objects.get(pk=9_000_003).member.delete()
    Agent.objects.filter(pk=9_000_003).update(group="w99")

    changes = render(shown).changes_since(before)

    assert len(changes) == 1
    assert changes[0].lstrip().startswith('<div id="yard_waves"')


def test_it_sends_the_whole_region_to_who_has_nothing_yet():
    fragment = render(view("yard_waves"))

    assert fragment.changes_since(None) == [fragment.html]


def test_it_shows_buttons_to_operators_alone():
    assert "hx-post" in render(view("yard_waves")).html
    assert "data-menu" in render(view("yard_waves")).html
    assert "hx-post" not in render(view("yard_waves", role=Role.VIEWER)).html
    assert "data-menu" not in render(view("yard_waves", role=Role.VIEWER)).html


def test_it_names_no_person_in_what_all_share():
    for name in REGIONS:
        shown = view(name, wave="w1", pk="9000001")

        assert "csrf" not in render(shown).html.lower()
        assert "operator-person" not in render(shown).html


def test_it_knows_which_hints_make_a_view_stale():
    region = REGIONS["yard_numbers"]

    assert region.is_stale_by("agent", 17, view("yard_numbers"))
    assert region.is_stale_by("telemetry", 300, view("yard_numbers"))
    assert not region.is_stale_by("telemetry", 60, view("yard_numbers"))
    assert region.is_stale_by("telemetry", 60, view("yard_numbers", window="1m"))
    assert not region.is_stale_by("repository", 1, view("yard_numbers"))


@pytest.mark.parametrize("state", State.values)
def test_it_has_a_sign_and_a_word_for_every_state(state):
    Agent.objects.filter(pk=9_000_001).update(state=state)

    html = render(view("agent_head", pk="9000001")).html

    assert 'class="sign"' in html
