"""What operators do to agents: who may, when it makes sense, and what is written. `runhost` does the rest."""

from datetime import timedelta
from itertools import product

import pytest
from django.utils import timezone

from apps.access.exceptions import NotAllowed
from apps.events.domain.actor import Actor, Role
from apps.events.models import Event
from apps.fleet.actions import observe, operate
from apps.fleet.exceptions import AgentRefused, HostTaken
from apps.fleet.models import ENDED, LIVE, UNSTARTED, Agent, Desired, Host, State

from .factories import make_agent, make_host
from .supervising import OPERATOR, kinds

pytestmark = pytest.mark.django_db
NOW = timezone.now()
VIEWER = Actor("user", "vera", Role.VIEWER)
VERBS = ["pause", "resume", "stop", "kill", "restart"]


@pytest.fixture(autouse=True)
def _home(home):
    return home


def do(verb, agent, *, actor=OPERATOR, now=NOW):
    return operate.VERBS[verb](agent=agent, actor=actor, now=now)


def test_the_verbs_that_doors_offer():
    assert list(operate.VERBS) == VERBS


@pytest.mark.parametrize("verb", VERBS)
def test_a_viewer_may_not(verb):
    agent = make_agent(state=State.BUSY, desired=Desired.RUNNING)

    with pytest.raises(NotAllowed, match="the role operator is needed"):
        do(verb, agent, actor=VIEWER)

    agent.refresh_from_db()
    assert (agent.state, agent.desired) == ("busy", "running")
    assert not Event.objects.exists()


@pytest.mark.parametrize(
    ("verb", "before", "desired", "kind"),
    [
        ("pause", {"desired": "running"}, "paused", "agent.paused"),
        ("resume", {"state": "paused", "desired": "paused"}, "running", "agent.resumed"),
        ("stop", {"desired": "running"}, "stopped", "agent.stopped"),
        ("kill", {"desired": "running"}, "killed", "agent.killed"),
        ("kill", {"state": "stopping", "desired": "stopped"}, "killed", "agent.killed"),
        ("restart", {"desired": "running", "workspace_path": "/w"}, "stopped", "agent.restarted"),
    ],
)
def test_it_writes_what_is_wanted_with_an_event_that_names_the_actor(verb, before, desired, kind):
    agent = make_agent(**({"state": State.BUSY} | before))

    returned = do(verb, agent)

    assert returned.desired == desired
    assert returned.state == before.get("state", "busy")  # the host makes it so
    event = Event.objects.get()
    assert (event.kind, event.actor_kind, event.actor) == (kind, "user", "olga")
    assert (event.topic, event.subject_id, event.subject) == ("agent", agent.pk, agent.name)


@pytest.mark.parametrize("verb", VERBS)
def test_every_state_and_wish_gives_a_change_with_its_event_or_a_refusal(verb):
    for state, desired, returning in product(State.values, Desired.values, (False, True)):
        agent = make_agent(
            state=state,
            desired=desired,
            workspace_path="/w",
            restart_at=NOW + timedelta(seconds=4) if returning and state in ENDED else None,
        )
        before = Agent.objects.values().get(pk=agent.pk)
        told = refusal(verb, agent)
        unchanged = Agent.objects.values().get(pk=agent.pk) == before
        if told:
            assert agent.name in told
            assert unchanged
        else:
            assert not unchanged or desired == "stopped"  # which may be asked for twice
        assert len(kinds(agent)) == (0 if told else 1)


def refusal(verb, agent):
    try:
        do(verb, agent)
    except AgentRefused as error:
        return str(error)
    return ""


def test_what_has_not_started_ends_at_once():
    for state, verb in product(UNSTARTED, ("stop", "kill")):
        agent = do(verb, make_agent(state=state))

        assert (agent.state, agent.reason, agent.ended_at) == ("exited", "stopped before it started", NOW)


def test_a_stop_of_one_that_would_come_back_lets_it_rest():
    agent = make_agent(state=State.LOST, desired=Desired.RUNNING, restart_at=NOW + timedelta(seconds=4))

    do("stop", agent)

    assert (agent.state, agent.restart_at) == ("lost", None)


def test_a_second_stop_does_not_put_off_the_grace():
    agent = do("stop", make_agent(state=State.BUSY, desired=Desired.RUNNING))

    do("stop", agent, now=NOW + timedelta(seconds=5))

    assert agent.stop_requested_at == NOW


def test_a_restart_of_an_ended_one_is_due_at_once():
    agent = make_agent(state=State.EXITED, desired=Desired.STOPPED, workspace_path="/w")

    do("restart", agent)

    assert (agent.state, agent.restart_at) == ("exited", NOW)
    assert observe.revive_due(host=agent.host, now=NOW) == 1
    agent.refresh_from_db()
    assert (agent.state, agent.desired, agent.restart_at) == ("ready", "running", None)


def test_a_restart_of_one_that_is_paused_starts_it():
    agent = make_agent(state=State.LOST, desired=Desired.PAUSED, restart_at=NOW, workspace_path="/w")

    do("restart", agent)

    assert observe.revive_due(host=agent.host, now=NOW) == 1


def test_one_without_a_workspace_is_not_restarted():
    with pytest.raises(AgentRefused, match="retry it from its wave"):
        do("restart", make_agent(state=State.FAILED))


@pytest.mark.parametrize("verb", ["stop", "kill", "restart", "pause"])
def test_a_page_that_is_out_of_date_gets_a_refusal(verb):
    agent = make_agent(state=State.BUSY, desired=Desired.RUNNING, workspace_path="/w")
    stale = Agent.objects.get(pk=agent.pk)
    Agent.objects.filter(pk=agent.pk).update(state=State.EXITED, desired=Desired.STOPPED, epoch=7)

    with pytest.raises(AgentRefused, match="exited by now: look again"):
        do(verb, stale)
    assert not Event.objects.exists()


def test_a_change_of_state_that_does_not_matter_is_no_reason_to_refuse():
    agent = make_agent(state=State.BUSY, desired=Desired.RUNNING, workspace_path="/w")
    Agent.objects.filter(pk=agent.pk).update(state=State.IDLE)

    do("restart", agent)

    assert agent.desired == "stopped"


def test_states_are_of_three_kinds():
    assert set(UNSTARTED) | set(LIVE) | set(ENDED) == set(State)
    assert len({*UNSTARTED, *LIVE, *ENDED}) == len(UNSTARTED) + len(LIVE) + len(ENDED)


# Hosts


def test_draining_is_told_once_with_its_actor():
    host = make_host()

    for _ in range(2):
        operate.drain_host(host=host, draining=True, actor=OPERATOR)

    assert host.draining
    event = Event.objects.get()
    assert (event.kind, event.actor, event.text) == ("host.draining", "olga", "local drains: no new agents")
    operate.drain_host(host=host, draining=False, actor=OPERATOR)
    assert Event.objects.filter(kind="host.open").count() == 1


def test_a_viewer_may_not_drain():
    host = make_host()

    with pytest.raises(NotAllowed):
        operate.drain_host(host=host, draining=True, actor=VIEWER)
    host.refresh_from_db()
    assert not host.draining


def register(boot_id="boot", now=NOW, home_id="home"):
    return observe.register_host(name="local", pid=1, boot_id=boot_id, home_id=home_id, now=now)


def test_a_host_registers_itself_again_and_again():
    assert register() == register(now=NOW + timedelta(seconds=1))
    assert Host.objects.count() == 1


def test_two_machines_cannot_be_one_host():
    register()

    with pytest.raises(HostTaken, match="SWARMYARD_HOST_NAME"):
        register("another", now=NOW + timedelta(seconds=5))
    assert Host.objects.get().boot_id == "boot"


def test_two_containers_on_one_machine_cannot_be_one_host():
    register()

    with pytest.raises(HostTaken, match="another home"):
        register(home_id="other", now=NOW + timedelta(seconds=5))
    assert Host.objects.get().home_id == "home"


def test_a_machine_that_was_booted_again_is_the_same_host():
    register()

    register("another", now=NOW + timedelta(seconds=11))

    assert Host.objects.get().boot_id == "another"
