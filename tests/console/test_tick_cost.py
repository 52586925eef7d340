"""What a tick asks of the database while agents work and all of their figures change; bench/dashboard.py times it."""

import time
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.console import live
from apps.console.catalogue import REGIONS
from apps.console.live import Tick, Viewer
from apps.console.moment import Moment
from apps.events.domain.actor import Role
from apps.fleet.models import Agent
from tests.console.figures import made_up_snapshot, publish, publish_counts
from tests.factories import make_host, make_member, make_wave

pytestmark = pytest.mark.django_db

YARD = ["menu", "yard_attention", "yard_numbers", "yard_charts", "yard_waves", "yard_finished", "yard_feed"]


def tick_of(agents: int) -> tuple[int, int]:
    """Queries of a tick in which all agents changed, and the rows that it sends."""
    waves = [make_wave(size=agents // 4, step_size=5) for _ in range(4)]
    members = [make_member(wave).pk for wave in waves for _ in range(agents // 4)]
    viewer = Viewer(None, None, views=tuple(REGIONS[name].view({}, Role.OPERATOR) for name in YARD))

    for tick in range(3):
        Agent.objects.filter(pk__in=members).update(activity=f"step {tick}")
        publish(made_up_snapshot(members, [wave.label for wave in waves], tick=tick))
        with CaptureQueriesContext(
            connection,
        ) as queries:
            fragments, _ = live.render(viewer.views, Moment(datetime.now(UTC)))
        elements = viewer.changes(fragments)
        viewer.has_been_sent(fragments, tick)
    return len(queries), live.frame_html(Tick(tick, time.time()), elements).count('<tr id="agent-')


@pytest.fixture(autouse=True)
def _host(redis_server):
    make_host()


def test_it_sends_each_of_100_agents_that_changed(redis_server):
    _, rows = tick_of(100)

    assert rows == 100


def test_it_asks_the_database_as_often_for_100_agents_as_for_8(redis_server):
    few, _ = tick_of(8)
    many, rows = tick_of(100)

    assert rows >= 100
    assert many == few


def test_new_counts_show_without_any_question_to_the_database(redis_server, django_assert_num_queries):
    members = [make_member(make_wave(size=1, step_size=5)).pk for _ in range(2)]
    views = [
        REGIONS["yard_numbers"].view({}, Role.OPERATOR),
        REGIONS["agent_numbers"].view({"pk": str(members[0])}, Role.OPERATOR),
    ]
    made_up = made_up_snapshot(members, ["w1"])
    publish(made_up)
    moment = Moment(datetime.now(UTC))
    live.render(views, moment)
    publish_counts(made_up, 7)

    with django_assert_num_queries(0):
        fragments, _ = live.render(views, moment.with_new_figures(datetime.now(UTC)))

    assert f"of {made_up.totals.operations + 7} ·" in fragments[views[0]].html
    assert f"of {made_up.agents[members[0]].operations + 7} operations" in fragments[views[1]].html
