"""Moving a wave on: one look at its members, one decision, then what follows from it. Called by jobs when something
was prepared, by the scheduler on every hint and every second; calling it once too often changes nothing."""

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import F

from apps.events.actions import Fact, record
from apps.events.domain.actor import YARD
from apps.fleet.actions import prepare
from apps.fleet.models import ENDED, Agent, Desired, Host, State
from apps.fleet.readings import admission, admission_of_checkouts, closed, hosts_for_agents, to_start
from apps.lib.queues import enqueue
from apps.waves.actions import end_members, members_agents
from apps.waves.domain.stepping import Next, Outcome, Place, final_state, outcome, to_prepare, to_release
from apps.waves.look import places_of
from apps.waves.models import Member, Wave, WaveState
from apps.waves.preparation import QUEUE_SECONDS

log = logging.getLogger(__name__)

PREPARE_CHUNK = 20  # workspaces that one job makes; each job costs a fork
PREPARE_BYTES = 1_000_000_000
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


def advance_wave(pk: int, now: datetime) -> None:
    """Look and decide without a lock: a big wave is a long look. Only what there is to write is written under one."""
    wave = Wave.objects.defer("prompt", "command").filter(pk=pk).first()
    if wave is None or not wave.is_open:
        return
    give_back_lost(wave, now)
    if wave.state == WaveState.PAUSED and unfinished(wave):
        return
    places = places_of(wave)
    ended = final_state(places, aborting=wave.state == WaveState.ABORTING)
    if ended:
        finish(wave, ended, outcome(places), now)
    elif wave.state == WaveState.RUNNING:
        waiting_for = prepare_ahead(wave, places, now)
        release_step(wave, places, now, waiting_for)
    elif wave.state == WaveState.ABORTING and any(place.must_be_ended for place in places):
        with locked(wave) as unchanged:
            if unchanged:
                end_members(wave, YARD, now)


@contextmanager
def locked(wave: Wave) -> Iterator[bool]:
    """A transaction that keeps others from moving the wave. False when somebody did since it was read: then what was
    decided on it doesn't count, and the next round decides anew."""
    with transaction.atomic():
        # The lock on the hosts keeps two waves from being promised the same memory.
        # (Not one that keeps out whoever adds agents to these hosts: they may hold the wave that is locked below.)
        list(Host.objects.select_for_update(no_key=True).order_by("pk").values_list("pk"))
        rows = Wave.objects.select_for_update().filter(pk=wave.pk)
        yield rows.values_list("state", "gate_passed").first() == (wave.state, wave.gate_passed)


def unfinished(wave: Wave) -> bool:
    return members_agents(wave).exclude(state__in=ENDED, restart_at=None).exists()


def give_back_lost(wave: Wave, now: datetime) -> None:
    """Preparations whose job died are given out again; one that dies each time is a failure of the agent."""
    lost = wave.members.filter(agent__state=State.PREPARING, prepare_by__lte=now)
    if not lost.exists():
        return
    with transaction.atomic():
        for member in lost.select_related("agent").defer("agent__prompt", "agent__command"):
            if member.prepare_attempts < PREPARE_ATTEMPTS:
                prepare.give_back([member.agent_id])
            else:
                problem = f"its preparation died {PREPARE_ATTEMPTS} times"
                prepare.fail_preparation(agent=member.agent, problem=problem, now=now)


def prepare_ahead(wave: Wave, places: Sequence[Place], now: datetime) -> str:
    """Give out preparations on hosts that take agents and have disk left; says what those wait for that are not."""
    wanted = to_prepare(places, wave.step_size)
    if not wanted:
        return ""
    leave_draining_hosts(wave, wanted, now)
    fit, waiting_for = with_room(wanted, now)
    if fit:
        with locked(wave) as unchanged:
            # Looked at anew: another wave may have been promised the same disk.
            fit, waiting_for = with_room(wanted, now) if unchanged else ([], "")
            claimed = prepare.claim_for_preparation(fit)
            if claimed:
                chosen = wave.members.filter(agent__in=claimed).select_related("agent")
                give_out_all(list(chosen.defer("agent__prompt", "agent__command").order_by("number")), now)
    return waiting_for


def leave_draining_hosts(wave: Wave, planned: Sequence[int], now: datetime) -> None:
    """What is only planned on a host that drains goes to those that are open, if there are any."""
    rows = Agent.objects.filter(pk__in=planned, state=State.PLANNED, host__draining=True)
    pks = list(rows.order_by("pk").values_list("pk", flat=True))
    hosts = [host for host in hosts_for_agents(now) if not closed(host, now)] if pks else []
    if hosts:
        with locked(wave) as unchanged:
            if unchanged:
                prepare.move_planned(pks=pks, hosts=hosts)


def with_room(planned: Sequence[int], now: datetime) -> tuple[list[int], str]:
    """Those of them whose hosts have room for their checkouts, in order, and what the first of the others waits for."""
    rows = Agent.objects.filter(pk__in=planned).order_by("member__number")
    by_host: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for host_pk, pk, size in rows.values_list("host_id", "pk", "checkout_bytes"):
        by_host[host_pk].append((pk, size))
    fit: set[int] = set()
    waiting_for = ""
    for host in Host.objects.filter(pk__in=by_host).order_by("pk"):
        queue = by_host[host.pk]
        answer = admission_of_checkouts(host, [size for _, size in queue], now)
        fit.update(pk for pk, _ in queue[: answer.count])
        if answer.waiting_for and not waiting_for:
            waiting_for = closed(host, now) or f"{host.name}: {answer.waiting_for}"
    return [pk for pk in planned if pk in fit], waiting_for


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
        size = chunk_for(max(member.agent.checkout_bytes for member in theirs))
        for start in range(0, len(theirs), size):
            give_out(host_name, theirs[start : start + size])


def chunk_for(checkout_bytes: int) -> int:
    """Big checkouts go out in small jobs: questions of pages wait for those that run."""
    return max(1, min(PREPARE_CHUNK, PREPARE_BYTES // max(1, checkout_bytes)))


def give_out(host_name: str, members: Sequence[Member]) -> None:
    attempts = [(member.pk, member.prepare_attempts + 1) for member in members]
    agents = [member.agent_id for member in members]

    def give_back() -> None:
        # It never reached the queue, so this was no attempt.
        prepare.give_back(agents)
        for pk, attempt in attempts:
            Member.objects.filter(pk=pk, prepare_attempts=attempt).update(prepare_attempts=attempt - 1)

    enqueue(f"host.{host_name}", "apps.waves.jobs.prepare_job", attempts, on_failure=give_back)


def release_step(wave: Wave, places: Sequence[Place], now: datetime, preparation: str) -> None:
    since = (now - wave.step_at).total_seconds() * 1000 if wave.step_at else None
    decision = to_release(places, since_step_ms=since, pause_ms=wave.pause_ms, gate_passed=wave.gate_passed)
    if decision.pause:
        hold(wave, decision, now)
        return
    admitted, waiting_for = admitted_of(decision.release, now)
    if admitted:
        waiting_for = release_admitted(wave, decision.release, now)
    say_waiting(wave, waiting_for or ("" if decision.release else preparation) or decision.waiting_for)


def release_admitted(wave: Wave, pks: Sequence[int], now: datetime) -> str:
    """Let those start that there is room for, which is looked at anew under the lock; says what the others wait for."""
    with locked(wave) as unchanged:
        if not unchanged:
            return ""
        admitted, waiting_for = admitted_of(pks, now)
        if admitted and prepare.release(agents=admitted, now=now):
            Wave.objects.filter(pk=wave.pk).update(step_at=now)
        return waiting_for


def admitted_of(pks: Sequence[int], now: datetime) -> tuple[list[Agent], str]:
    """Those that their hosts have room for, in order, and what the first refused one waits for."""
    agents = Agent.objects.filter(pk__in=pks, state=State.READY, desired=Desired.HELD)
    by_host: dict[int, list[Agent]] = defaultdict(list)
    for agent in agents.defer("prompt", "command").order_by("member__number"):
        by_host[agent.host_id].append(agent)
    admitted: list[Agent] = []
    waiting_for = ""
    for host in Host.objects.filter(pk__in=by_host).order_by("pk"):
        queue = by_host[host.pk]
        answer = admission(host, to_start(queue), now)
        admitted += queue[: answer.count]
        if answer.waiting_for and not waiting_for:
            waiting_for = closed(host, now) or f"{host.name}: {answer.waiting_for}"
    return admitted, waiting_for


def say_waiting(wave: Wave, text: str) -> None:
    if wave.waiting_for != text[:300]:
        Wave.objects.filter(pk=wave.pk, state=WaveState.RUNNING).update(waiting_for=text[:300])


def hold(wave: Wave, decision: Next, now: datetime) -> None:
    """The health gate: what runs goes on, nothing further starts until a person resumes the wave."""
    with locked(wave) as unchanged:
        if not unchanged:
            return
        held = {"state": WaveState.PAUSED, "reason": decision.pause[:300], "waiting_for": ""}
        Wave.objects.filter(pk=wave.pk).update(**held)
        record(Fact("wave.held", YARD, f"{wave.label}: {decision.pause}", "wave", wave.pk, wave.label))


def finish(wave: Wave, state: str, result: Outcome, now: datetime) -> None:
    with locked(wave) as unchanged:
        if not unchanged or unfinished(wave):  # it was added to, or some of it starts again
            return
        fields = {"state": state, "ended_at": now, "waiting_for": ""}
        if state == WaveState.FAILED:
            fields["reason"] = str(result)
        Wave.objects.filter(pk=wave.pk).update(**fields)
        text = f"{wave.label} {state}: {result}"
        record(Fact(f"wave.{state}", YARD, text, "wave", wave.pk, wave.label, asdict(result)))
