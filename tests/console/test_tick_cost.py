"""What a tick costs the web process while 100 agents work and all of their figures change."""

import statistics
import time

import pytest

from apps.console import live
from apps.console.catalogue import REGIONS
from apps.console.live import Tick, Viewer
from apps.events.domain.actor import Role
from apps.fleet.models import Agent
from tests.console.figures import made_up_snapshot, publish
from tests.factories import make_host, make_member, make_wave

pytestmark = pytest.mark.django_db

GOAL_MS = 50.0
YARD = ["menu", "yard_attention", "yard_numbers", "yard_charts", "yard_waves", "yard_finished", "yard_feed"]


def test_it_costs_less_than_50_ms_of_cpu_to_push_100_agents(redis_server):
    make_host()
    waves = [make_wave(f"w{number}", size=25, step_size=5) for number in range(1, 5)]
    agents = [make_member(wave).pk for wave in waves for _ in range(25)]
    viewer = Viewer(None, None, views=tuple(REGIONS[name].view({}, Role.OPERATOR) for name in YARD))
    costs, rows = [], 0

    for tick in range(12):
        Agent.objects.filter(pk__in=agents).update(activity=f"step {tick}")
        publish(made_up_snapshot(agents, [wave.label for wave in waves], tick=tick))
        started = time.thread_time()
        fragments, _ = live.render(viewer.views)
        frame = live.frame_html(Tick(tick, time.time()), viewer.changes(fragments))
        costs.append((time.thread_time() - started) * 1000)
        rows = frame.count('<tr id="agent-')

    assert rows == 100
    assert statistics.median(costs[2:]) < GOAL_MS
