"""Moving a wave on: one look at its members, one decision, written in one transaction. Called by jobs when something
was prepared, by the scheduler on every hint and every second; calling it once too often changes nothing."""

import logging
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import F

from apps.capacity.domain.admission import MB, Request, admit, disk_shortage
from apps.capacity.limits import configured_limits
from apps.events.actions import Fact, record
from apps.events.domain.actor import YARD
from apps.fleet.actions import prepare
from apps.fleet.models import Agent, Desired, Host, State
from apps.fleet.readings import promised_to, reading_of
from apps.lib.queues import enqueue
from apps.waves.actions import end_members
from apps.waves.domain.stepping import Next, Place, final_state, to_prepare, to_release
from apps.waves.models import Member, Wave, WaveState
from apps.waves.preparation import QUEUE_SECONDS

log = logging.getLogger(__name__)

PREPARE_CHUNK = 20  # workspaces that one job makes; each job costs a fork
PREPARE_ATTEMPTS = 3


def advance_open_waves(now: datetime) -> None:
    """One that can't be moved on doesn't keep the others."""
    for pk in Wave.objects.open().order_by("pk").values_list("pk", flat=True):
        try:
            advance_wave(pk, now)
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            log.exception("wave %s can't be moved on; it is tried again", pk)


@transaction.atomic
def advance_wave(pk: int, now: datetime) -> None:
    # The lock on the hosts keeps two waves from being promised the same memory.
    # (Not one that keeps out whoever adds agents to these hosts: they may hold the wave that is locked below.)
    list(Host.objects.select_for_update(no_key=True).order_by("pk").values_list("pk"))
    wave = Wave.objects.select_for_update().filter(pk=pk).first()
    if wave is None or not wave.is_open:
        return
    members = list(
        wave.members.select_related("agent").defer("agent__prompt", "agent__command").order_by("number")
    )
    give_back_lost(members, now)
    places = [place_of(member) for member in members]
    ended = final_state(places, aborting=wave.state == WaveState.ABORTING)
    if ended:
        finish(wave, ended, places, now)
    elif wave.state == WaveState.RUNNING:
        waiting_for = prepare_ahead(wave, members, places, now)
        release_step(wave, members, places, now, waiting_for)
    elif wave.state == WaveState.ABORTING:
        end_members(wave, YARD, now)


def place_of(member: Member) -> Place:
    agent = member.agent
    return Place(
        pk=agent.pk,
        step=member.step,
        state=agent.state,
        released=agent.desired != Desired.HELD,
        seen=agent.first_seen_at is not None,
        returning=agent.restart_at is not None,
    )


def give_back_lost(members: Sequence[Member], now: datetime) -> None:
    """Preparations whose job died are given out again; one that dies each time is a failure of the agent."""
    for member in members:
        agent = member.agent
        if agent.state != State.PREPARING or member.prepare_by is None or member.prepare_by > now:
            continue
        if member.prepare_attempts >= PREPARE_ATTEMPTS:
            prepare.fail_preparation(
                agent=agent, problem=f"its preparation died {PREPARE_ATTEMPTS} times", now=now
            )
            agent.state = State.FAILED
        elif prepare.give_back([agent.pk]):
            agent.state = State.PLANNED


def prepare_ahead(wave: Wave, members: Sequence[Member], places: Sequence[Place], now: datetime) -> str:
    """Give out preparations where there is disk left to make them on; says what those wait for that are not."""
    wanted = set(to_prepare(places, wave.step_size))
    full = hosts_without_disk(now) if wanted else {}
    host_of = {member.agent_id: member.agent.host_id for member in members}
    problems = [full[host_of[pk]] for pk in sorted(wanted) if host_of[pk] in full]
    claimed = set(prepare.claim_for_preparation(pk for pk in sorted(wanted) if host_of[pk] not in full))
    if claimed:
        give_out_all([member for member in members if member.agent_id in claimed], now)
    return problems[0] if problems else ""


def hosts_without_disk(now: datetime) -> dict[int, str]:
    limits = configured_limits()
    found = {host: disk_shortage(reading_of(host, now), limits) for host in Host.objects.all()}
    return {host.pk: f"{host.name}: {problem}" for host, problem in found.items() if problem}


def give_out_all(chosen: Sequence[Member], now: datetime) -> None:
    until = now + timedelta(seconds=QUEUE_SECONDS)
    Member.objects.filter(pk__in=[member.pk for member in chosen]).update(
        prepare_by=until, prepare_attempts=F("prepare_attempts") + 1
    )
    by_host: dict[str, list[Member]] = defaultdict(list)
    hosts = dict(Host.objects.values_list("pk", "name"))
    for member in chosen:
        by_host[hosts[member.agent.host_id]].append(member)
    for host_name, theirs in by_host.items():
        for start in range(0, len(theirs), PREPARE_CHUNK):
            give_out(host_name, theirs[start : start + PREPARE_CHUNK])


def give_out(host_name: str, members: Sequence[Member]) -> None:
    attempts = [(member.pk, member.prepare_attempts + 1) for member in members]
    agents = [member.agent_id for member in members]

    def give_back() -> None:
        # It never reached the queue, so this was no attempt.
        prepare.give_back(agents)
        for pk, attempt in attempts:
            Member.objects.filter(pk=pk, prepare_attempts=attempt).update(prepare_attempts=attempt - 1)

    enqueue(f"host.{host_name}", "apps.waves.jobs.prepare_job", attempts, on_failure=give_back)


def release_step(
    wave: Wave, members: Sequence[Member], places: Sequence[Place], now: datetime, preparation: str
) -> None:
    since = (now - wave.step_at).total_seconds() * 1000 if wave.step_at else None
    decision = to_release(places, since_step_ms=since, pause_ms=wave.pause_ms, gate_passed=wave.gate_passed)
    if decision.pause:
        hold(wave, decision, now)
        return
    wanted = set(decision.release)
    agents = [member.agent for member in members if member.agent_id in wanted]
    admitted, waiting_for = admitted_of(agents, now)
    if admitted and prepare.release(agents=admitted, now=now):
        Wave.objects.filter(pk=wave.pk).update(step_at=now)
    say_waiting(wave, waiting_for or ("" if agents else preparation) or decision.waiting_for)


def admitted_of(agents: Sequence[Agent], now: datetime) -> tuple[list[Agent], str]:
    """Those that their hosts have room for, in order, and what the first refused one waits for."""
    by_host: dict[int, list[Agent]] = defaultdict(list)
    for agent in agents:
        by_host[agent.host_id].append(agent)
    admitted: list[Agent] = []
    waiting_for = ""
    for host in Host.objects.filter(pk__in=by_host):
        queue = by_host[host.pk]
        requests = [Request(memory=agent.memory_budget_mb * MB) for agent in queue]
        answer = admit(reading_of(host, now), promised_to(host), requests, configured_limits())
        admitted += queue[: answer.count]
        waiting_for = waiting_for or (f"{host.name}: {answer.waiting_for}" if answer.waiting_for else "")
    return admitted, waiting_for


def say_waiting(wave: Wave, text: str) -> None:
    if wave.waiting_for != text[:300]:
        Wave.objects.filter(pk=wave.pk).update(waiting_for=text[:300])


def hold(wave: Wave, decision: Next, now: datetime) -> None:
    """The health gate: what runs goes on, nothing further starts until a person resumes the wave."""
    rows = Wave.objects.filter(pk=wave.pk, state=WaveState.RUNNING)
    if rows.update(state=WaveState.PAUSED, reason=decision.pause[:300], waiting_for="") == 1:
        record(Fact("wave.held", YARD, f"{wave.label}: {decision.pause}", "wave", wave.pk, wave.label))


def finish(wave: Wave, state: str, places: Sequence[Place], now: datetime) -> None:
    rows = Wave.objects.filter(pk=wave.pk, state=wave.state)
    if rows.update(state=state, ended_at=now, waiting_for="") != 1:
        return
    good = sum(place.state == "exited" for place in places)
    text = f"{wave.label} {state}: {good} of {len(places)} agents ended well"
    record(Fact(f"wave.{state}", YARD, text, "wave", wave.pk, wave.label))
