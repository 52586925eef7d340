"""What operators do to agents and hosts. Each writes what is wanted; `runhost` makes it so."""

from collections.abc import Callable
from datetime import datetime

from django.db import transaction

from apps.access.roles import require
from apps.events.actions import Fact, record
from apps.events.domain.actor import Actor, Role
from apps.events.hints import publish_on_commit
from apps.fleet.actions.revive import forget_waiting
from apps.fleet.exceptions import AgentRefused
from apps.fleet.models import UNSTARTED, Agent, Desired, Host, State

VERBS: dict[str, Callable[..., Agent]] = {}


def verb(function: Callable[..., Agent]) -> Callable[..., Agent]:
    """Make an action one of the verbs that page, API and command line offer under its name."""
    VERBS[function.__name__] = function
    return function


@verb
@transaction.atomic
def pause(*, agent: Agent, actor: Actor, now: datetime) -> Agent:
    """Freeze the whole process tree (SIGSTOP) until `resume`."""
    allowed(agent, "pause", actor)
    return want(agent, Desired.PAUSED, "paused", actor, only_from=[Desired.RUNNING])


@verb
@transaction.atomic
def resume(*, agent: Agent, actor: Actor, now: datetime) -> Agent:
    allowed(agent, "resume", actor)
    return want(agent, Desired.RUNNING, "resumed", actor, only_from=[Desired.PAUSED])


@verb
@transaction.atomic
def stop(*, agent: Agent, actor: Actor, now: datetime) -> Agent:
    """Ask it to end (SIGTERM), and end it by force after the grace."""
    allowed(agent, "stop", actor)
    return end(agent, Desired.STOPPED, "stopped", actor, now)


@verb
@transaction.atomic
def kill(*, agent: Agent, actor: Actor, now: datetime) -> Agent:
    """End it and every descendant at once (SIGKILL)."""
    allowed(agent, "kill", actor)
    return end(agent, Desired.KILLED, "killed", actor, now)


@verb
@transaction.atomic
def restart(*, agent: Agent, actor: Actor, now: datetime) -> Agent:
    """Start it again in its workspace as it is, when its host has room; a live one is stopped first. Its restarts by
    policy are counted from the start."""
    allowed(agent, "restart", actor)
    if agent.host.draining:
        raise AgentRefused(
            f"{agent.name} is on host {agent.host.name}, which drains: nothing starts there until it is opened again."
        )
    if not agent.workspace_path:
        raise AgentRefused(f"{agent.name} never got a workspace: retry it from its wave.")
    rows = Agent.objects.filter(pk=agent.pk, epoch=agent.epoch)
    asked_at = agent.stop_requested_at or now
    if not (
        rows.live().update(desired=Desired.STOPPED, stop_requested_at=asked_at, restart_at=now, restarts=0)
        or rows.ended().update(desired=Desired.RUNNING, restart_at=now, restarts=0)
    ):
        raise moved_on(agent)
    return announce(agent, "restarted", actor)


def allowed(agent: Agent, word: str, actor: Actor) -> None:
    require(actor, Role.OPERATOR, f"{word} agents")
    if not agent.can(word):
        raise AgentRefused(
            f"{agent.name} is {agent.get_state_display().lower()}: there is nothing to {word}."
        )


def want(agent: Agent, desired: Desired, word: str, actor: Actor, only_from: list[Desired]) -> Agent:
    rows = Agent.objects.filter(pk=agent.pk, desired__in=only_from)
    if not (rows.live().update(desired=desired) or rows.returning().update(desired=desired)):
        raise moved_on(agent)
    return announce(agent, word, actor)


def end(agent: Agent, desired: Desired, word: str, actor: Actor, now: datetime) -> Agent:
    rows = Agent.objects.filter(pk=agent.pk)
    fields = {"desired": desired, "stop_requested_at": agent.stop_requested_at or now, "restart_at": None}
    if rows.filter(state__in=UNSTARTED).update(
        state=State.EXITED, reason="stopped before it started", ended_at=now, **fields
    ):
        return announce(agent, word, actor)
    forget_waiting(rows.returning())
    if not (rows.live().update(**fields) or rows.returning().update(**fields)):
        raise moved_on(agent)
    return announce(agent, word, actor)


def announce(agent: Agent, word: str, actor: Actor) -> Agent:
    record(Fact(f"agent.{word}", actor, f"{agent.name} {word}", "agent", agent.pk, agent.name))
    publish_on_commit("host", agent.host_id)
    agent.refresh_from_db()
    return agent


def moved_on(agent: Agent) -> AgentRefused:
    agent.refresh_from_db()
    return AgentRefused(f"{agent.name} is {agent.get_state_display().lower()} by now: look again.")


@transaction.atomic
def drain_host(*, host: Host, draining: bool, actor: Actor) -> Host:
    """A draining host keeps its agents and gets no new ones."""
    require(actor, Role.OPERATOR, "drain hosts")
    if Host.objects.filter(pk=host.pk, draining=not draining).update(draining=draining) == 1:
        word = "drains: no new agents" if draining else "takes agents again"
        record(
            Fact(
                "host.draining" if draining else "host.open",
                actor,
                f"{host.name} {word}",
                "host",
                host.pk,
                host.name,
            )
        )
    host.refresh_from_db()
    return host
