"""Lists cost the same number of queries whatever their length, and don't read what they don't show."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.alerts.models import Silence
from apps.waves.models import Wave, WaveState
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
    make_rule,
    make_user,
    make_wave,
    now,
)

pytestmark = pytest.mark.django_db

LISTS = [
    "/",
    "/waves/",
    "/waves/w1/",
    "/agents/",
    "/agents/?sort=p95",
    "/agents/?sort=cost",
    "/compare/?by=role",
    "/spending/",
    "/builds/",
    "/builds/?wave=w1&state=passed",
    "/builds/waits/",
    "/builds/directories/",
    "/builds/bases/",
    "/builds/caches/",
    "/repositories/",
    "/hosts/",
    "/service-levels/",
    "/events/",
    "/alerts/",
    "/alerts/?state=resolved",
    "/alerts/silences/",
    "/alerts/destinations/",
]
PAGES = [
    *LISTS,
    "/repositories/9000001/",
    "/alerts/9000001/",
    "/alerts/rules/",
    "/builds/9000001/",
    "/agents/1/",
    "/waves/new/",
]
ADMIN = [
    f"/admin/{name}/"
    for name in (
        "auth/user",
        "access/membership",
        "access/apitoken",
        "fleet/agent",
        "fleet/host",
        "waves/wave",
        "alerts/alert",
        "alerts/delivery",
        "alerts/rule",
        "workspaces/workspace",
        "builds/build",
        "builds/lockwait",
        "builds/builddirectory",
    )
]
REGIONS = ["/live/wave_head/?wave=w1", "/live/wave_agents/?wave=w1", "/live/waves_table/"]
APIS = [
    "/api/v1/bases",
    "/api/v1/builds/waits-now",
    "/api/v1/compiler-caches",
    "/api/v1/agents",
    "/api/v1/builds",
    "/api/v1/build-directories",
    "/builds/9000001/",
]
SHOW_THEM = {"/waves/w1/"}  # a wave's own page; what it renders again each tick is among REGIONS
MOST = 26
LONG_TEXTS = ('"fleet_agent"."prompt"', '"waves_wave"."prompt"', '"fleet_agent"."command"')


def fill(first: int, waves: int, agents: int) -> None:
    for number in range(first, first + waves):
        wave = make_wave(f"w{number}", size=agents, step_size=20)
        for _ in range(agents):
            make_member(wave, **({"pk": 1} if number == first == 1 and not wave.members.exists() else {}))
        fill_builds(wave, number)
        make_wave(f"w{number}00", state=WaveState.DONE)
        make_event(f"w{number} started")
        fill_alerts(number, agents)


def fill_builds(wave: Wave, number: int) -> None:
    """Two for each of the wave's agents: one that waited for the agent's before, one that waits now; a repository
    with a base, and a host with a compiler cache, for each wave."""
    before, first = None, {"pk": 9_000_001} if number == 1 else {}
    make_base(make_repository(f"repository-of-w{number}", **first))
    make_compiler_cache(make_host(f"host-of-w{number}", draining=True))
    for member in wave.members.select_related("agent"):
        make_build_directory(member.agent)
        build = make_build(member.agent, **first)
        make_lock_wait(build, holder=before)
        before, first = build, {}
        make_ongoing_wait(make_build(member.agent, state="running", ended_at=None), holder=before)


def fill_alerts(number: int, count: int) -> None:
    """An open one and one that is over for each of so many agents, the first with a number that the pages know."""
    rule, first = make_rule("silent-agent"), {"pk": 9_000_001} if number == 1 else {}
    destination = make_destination(f"destination-{number}")
    for pk in range(count):
        subject = {"rule": rule, "subject_id": number * 1000 + pk, "subject": f"w{number}/agent-{pk:02d}"}
        make_alert(**subject, **first)
        over = make_alert(**subject, state="resolved", resolved_at=now())
        first = {}
        Silence.objects.create(
            rule=rule, subject_id=pk, begun_by="ada", begun_at=now(), until=now() + timedelta(hours=1)
        )
        delivery = destination.deliveries.create(created_at=now(), state="delivered")
        delivery.alerts.add(over)


def queries_of(client, page: str) -> list[str]:
    with CaptureQueriesContext(connection) as queries:
        assert client.get(page).status_code == 200
    return [query["sql"] for query in queries.captured_queries]


@pytest.mark.parametrize("page", PAGES)
def test_it_asks_the_database_a_constant_number_of_times(operator, page):
    make_host()
    make_repository()
    fill(1, waves=2, agents=2)
    few = queries_of(operator, page)
    fill(3, waves=3, agents=32)

    many = queries_of(operator, page)

    assert len(many) == len(few)
    assert len(many) <= MOST


@pytest.mark.parametrize("page", ADMIN)
def test_the_admin_asks_no_more_for_100_agents(admin, page, django_assert_max_num_queries):
    make_host()
    fill(1, waves=2, agents=50)
    for number in range(40):
        make_user(f"person-{number}")

    with django_assert_max_num_queries(MOST):
        assert admin.get(page).status_code == 200


@pytest.mark.parametrize("page", [*sorted({*LISTS} - SHOW_THEM), *REGIONS, *ADMIN, *APIS])
def test_lists_leave_long_texts_in_the_database(admin, page):
    make_host()
    fill(1, waves=1, agents=3)

    queries = queries_of(admin, page)

    assert [sql for sql in queries for text in LONG_TEXTS if text in sql] == []
