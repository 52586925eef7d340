"""How long an agent waited, and how long its start took: of its first start, whatever comes after."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.fleet.actions import observe, prepare
from apps.fleet.domain.lifecycle import Ending
from apps.fleet.models import Agent, Desired, State
from tests.fleet.factories import make_agent

pytestmark = pytest.mark.django_db


def release(agent: Agent, seconds: float) -> Agent:
    """Lets it start so long after it was planned."""
    assert prepare.release(agents=[agent], now=agent.created_at + timedelta(seconds=seconds)) == 1
    agent.refresh_from_db()
    return agent


def see(agent: Agent, seconds: float) -> Agent:
    """Its first sign of life, so long after it was let start."""
    agent.state = State.STARTING
    agent.save()
    now = agent.released_at + timedelta(seconds=seconds)
    assert observe.record_started(agent=agent, pid=1, pid_started=1, boot_id="", now=now)
    agent.refresh_from_db()
    return agent


def test_it_is_known_how_long_an_agent_waited_and_took_to_start():
    agent = see(release(make_agent(state=State.READY), 3.5), 0.25)

    assert (agent.queue_time, agent.spawn_time) == (timedelta(seconds=3.5), timedelta(seconds=0.25))


def test_agents_of_one_release_each_have_their_own_wait():
    now = timezone.now()
    agents = [make_agent(state=State.READY), make_agent(state=State.READY)]
    Agent.objects.filter(pk=agents[0].pk).update(created_at=now - timedelta(seconds=60))
    Agent.objects.filter(pk=agents[1].pk).update(created_at=now - timedelta(seconds=20))

    prepare.release(agents=agents, now=now)

    waits = Agent.objects.order_by("pk").values_list("queue_time", flat=True)
    assert list(waits) == [timedelta(seconds=60), timedelta(seconds=20)]


def test_a_second_start_changes_neither():
    agent = see(release(make_agent(state=State.READY), 1.0), 0.25)
    Agent.objects.update(state=State.READY, desired=Desired.HELD)

    agent = see(release(agent, 900.0), 7.0)

    assert (agent.queue_time, agent.spawn_time) == (timedelta(seconds=1), timedelta(seconds=0.25))


def test_clocks_that_disagree_give_no_negative_time():
    agent = see(release(make_agent(state=State.READY), 1.0), -0.5)

    assert agent.spawn_time == timedelta(0)


def test_an_agent_that_nobody_let_start_has_no_times():
    agent = make_agent(state=State.STARTING)
    observe.record_started(agent=agent, pid=1, pid_started=1, boot_id="", now=timezone.now())

    agent.refresh_from_db()
    assert (agent.queue_time, agent.spawn_time) == (None, None)


@pytest.mark.parametrize(
    ("told", "expected"), [(5.0, 5.0), (None, 60.0), (-1e9, 0.0), (1e9, 60.0), (-1e18, 0.0), (1e18, 60.0)]
)
def test_its_end_is_when_it_wrote_it_down_within_what_can_be(told, expected):
    began = timezone.now()
    now = began + timedelta(seconds=60)
    agent = make_agent(state=State.BUSY, launched_at=began, first_seen_at=began)
    file_time = None if told is None else began.timestamp() + told

    observe.record_end(
        agent=agent,
        ending=Ending("exited", "done"),
        exit_code=0,
        max_restarts=0,
        now=now,
        fields={},
        file_time=file_time,
    )

    agent.refresh_from_db()
    assert (agent.ended_at - began).total_seconds() == pytest.approx(expected, abs=0.001)
