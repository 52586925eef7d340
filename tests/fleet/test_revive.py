"""Restarts, by hand and by policy: they ask for room as everything does that starts an agent."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.events.models import Event
from apps.fleet.actions import observe, operate
from apps.fleet.domain.lifecycle import Ending
from apps.fleet.exceptions import AgentRefused
from apps.fleet.models import Agent, Desired, Host, State

from .factories import MB, make_agent, make_host
from .supervising import OPERATOR

pytestmark = pytest.mark.django_db
NOW = timezone.now()


@pytest.fixture(autouse=True)
def host(home):
    return make_host()


def lost(minutes=1, **overrides):
    """One that ended and is due to start again since `minutes`."""
    fields = {
        "state": State.LOST,
        "desired": Desired.RUNNING,
        "restart_at": NOW - timedelta(minutes=minutes),
        "workspace_path": "/w",
        "reason": "ended by signal 9 from outside",
    }
    return make_agent(**(fields | overrides))


def revive(host):
    return observe.revive_due(host=host, now=NOW)


def test_on_a_full_machine_restarts_wait_in_order_and_say_for_what(host):
    Host.objects.update(memory_available=900 * MB)
    late, early, middle = lost(1), lost(3), lost(2)

    assert revive(host) == 2

    for agent in (early, middle, late):
        agent.refresh_from_db()
    assert [agent.state for agent in (early, middle, late)] == ["ready", "ready", "lost"]
    assert late.reason == "waits for memory: 400 MB wanted, 100 MB left to promise"

    Host.objects.update(memory_available=64_000 * MB)
    assert revive(host) == 1
    late.refresh_from_db()
    assert (late.state, late.desired, late.reason) == ("ready", "running", "")


def test_a_restart_by_hand_waits_for_memory_too(host):
    Host.objects.update(memory_available=100 * MB)
    agent = make_agent(state=State.EXITED, desired=Desired.STOPPED, workspace_path="/w")

    operate.restart(agent=agent, actor=OPERATOR, now=NOW)

    assert revive(host) == 0
    agent.refresh_from_db()
    assert agent.state == "exited"
    assert agent.reason.startswith("waits for memory: ")


def test_what_live_agents_were_promised_is_not_given_to_restarts(host):
    Host.objects.update(memory_available=700 * MB)
    make_agent(state=State.BUSY, desired=Desired.RUNNING, memory_bytes=0)
    lost()

    assert revive(host) == 0


def test_waiting_is_written_once_though_its_figures_change(host):
    Host.objects.update(memory_available=100 * MB)
    agent = lost()
    revive(host)
    Host.objects.update(memory_available=99 * MB)

    with CaptureQueriesContext(connection) as queries:
        revive(host)

    assert not [query for query in queries if not query["sql"].startswith("SELECT")]
    agent.refresh_from_db()
    assert "100 MB" in agent.reason


def test_on_a_draining_host_restarts_by_policy_wait(host):
    Host.objects.update(draining=True)
    agent = lost()

    assert revive(host) == 0

    agent.refresh_from_db()
    assert agent.reason == "waits for host local, which drains"
    Host.objects.update(draining=False)
    assert revive(host) == 1


@pytest.mark.parametrize("state", [State.BUSY, State.FAILED])
def test_on_a_draining_host_a_restart_by_hand_is_refused(host, state):
    Host.objects.update(draining=True)
    agent = make_agent(state=state, desired=Desired.RUNNING, workspace_path="/w")

    with pytest.raises(AgentRefused, match="on host local, which drains"):
        operate.restart(agent=agent, actor=OPERATOR, now=NOW)

    agent.refresh_from_db()
    assert (agent.state, agent.desired, agent.restart_at) == (state, "running", None)
    assert not Event.objects.exists()


def test_one_that_waits_can_be_told_not_to_start(host):
    Host.objects.update(draining=True)
    agent = lost()
    revive(host)
    agent.refresh_from_db()

    operate.stop(agent=agent, actor=OPERATOR, now=NOW)

    assert (agent.restart_at, agent.reason) == (None, "ended, and not started again: stopped on request")


def end(agent, state):
    """As `runhost` writes it."""
    Agent.objects.filter(pk=agent.pk).update(state=State.BUSY)
    ending = Ending(state, "ended by signal 9")
    observe.record_end(agent=agent, ending=ending, exit_code=137, max_restarts=2, now=NOW, fields={})
    agent.refresh_from_db()


def test_restarts_by_policy_are_counted_up_to_their_limit():
    agent = make_agent(state=State.BUSY, desired=Desired.RUNNING, restart_policy="lost")

    for restarts in (1, 2):
        end(agent, "lost")
        assert (agent.restarts, agent.restart_at) == (restarts, NOW + timedelta(seconds=restarts))
        Agent.objects.update(restart_at=None)
    end(agent, "lost")
    assert (agent.restarts, agent.restart_at) == (2, None)


@pytest.mark.parametrize("state", [State.LOST, State.BUSY])
def test_a_restart_by_hand_gives_the_whole_number_of_restarts_back(host, state):
    agent = make_agent(state=state, desired=Desired.RUNNING, workspace_path="/w", restarts=2)

    operate.restart(agent=agent, actor=OPERATOR, now=NOW)
    if state == State.BUSY:
        end(agent, "exited")
    assert revive(host) == 1

    agent.refresh_from_db()
    assert (agent.state, agent.restarts) == ("ready", 0)
