"""Starting and steering waves. `waves/advance.py` moves them on."""

from collections.abc import Collection
from contextlib import suppress
from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Max

from apps.access.roles import require
from apps.events.actions import Fact, record
from apps.events.domain.actor import Actor, Role
from apps.events.hints import publish_on_commit
from apps.fleet.actions import operate, prepare
from apps.fleet.actions.prepare import AgentSpec
from apps.fleet.actions.revive import forget_waiting
from apps.fleet.exceptions import AgentRefused
from apps.fleet.models import ENDED, LIVE, UNSTARTED, Agent, AgentQuerySet, Desired, Host, State
from apps.fleet.readings import hosts_for_agents
from apps.lib.questions import Ask, here
from apps.lib.queues import enqueue
from apps.lib.text import can_be_stored
from apps.waves.domain.request import MAX_AGENTS, WaveRequest, fingerprint
from apps.waves.domain.stepping import steps_of
from apps.waves.exceptions import WaveRefused
from apps.waves.models import Member, Wave, WaveState
from apps.waves.planning import Checked, check_request
from apps.workspaces.actions import note_checkout_size, plan_workspaces
from apps.workspaces.queries import find_repository

LABEL_ATTEMPTS = 20  # each after somebody else was a moment faster


def start_wave(*, request: WaveRequest, actor: Actor, now: datetime, ask: Ask = here) -> Wave:
    """Write the wave with all its agents, and set it going. The same idempotency key again gives the first wave.

    `ask` does the look at the repository; it may raise NoAnswer.
    """
    require(actor, Role.OPERATOR, "start waves")
    earlier = by_key(request)
    if earlier:
        return earlier
    checked = check_request(request, now, ask)
    for _ in range(LABEL_ATTEMPTS):
        try:
            return write_wave(checked, free_label(checked.used_labels), actor, now)
        except IntegrityError:
            # Somebody took the key or the label in this moment: with the key it is the same wave.
            if earlier := by_key(request):
                return earlier
    raise WaveRefused("Too many waves are being started at this moment: try again.")


def by_key(request: WaveRequest) -> Wave | None:
    """The wave that was started with this key. Raises WaveRefused when that was by another request."""
    if not request.idempotency_key or not can_be_stored(request.idempotency_key):
        return None
    wave = Wave.objects.filter(idempotency_key=request.idempotency_key).first()
    if wave and wave.request_hash != hash_of(request):
        raise WaveRefused(
            f"The key {request.idempotency_key!r} was used for another request, that of {wave.label}: "
            "use a new key, or ask for exactly the same again."
        )
    return wave


def hash_of(request: WaveRequest) -> str:
    """Of all that is asked for. A repository may be named or given by its path: that is the same."""
    repository = find_repository(request.repository)
    return fingerprint(request, f"#{repository.pk}" if repository else request.repository)


def free_label(used: Collection[str]) -> str:
    """The next wave's label; one of `used`, for which the repository has branches (of an older home), is skipped."""
    newest = Wave.objects.aggregate(newest=Max("pk"))["newest"] or 0
    taken = set(Wave.objects.filter(pk__gt=newest - 1000).values_list("label", flat=True))
    number = newest + 1
    while f"w{number}" in taken or f"w{number}" in used or place_is_taken(f"w{number}"):
        number += 1
    return f"w{number}"


def place_is_taken(label: str) -> bool:
    return (settings.SWARMYARD_HOME / "workspaces" / label).exists()


@transaction.atomic
def write_wave(checked: Checked, label: str, actor: Actor, now: datetime) -> Wave:
    request = checked.request
    wave = Wave.objects.create(
        label=label,
        title=request.title[:120],
        repository=checked.repository,
        base_commit=checked.base_commit,
        preset=request.preset,
        role=request.role or checked.preset.role,
        prompt=request.prompt,
        command=request.command,
        size=request.agents,
        step_size=request.step_size,
        pause_ms=request.pause_ms,
        memory_budget_mb=request.memory_budget_mb or checked.preset.memory_budget_mb,
        restart_policy=request.restart_policy,
        created_by=str(actor),
        idempotency_key=request.idempotency_key or None,
        request_hash=hash_of(request),
    )
    size = checked.checkout_bytes or 0
    if checked.checkout_bytes is not None:
        note_checkout_size(repository=checked.repository, commit=checked.base_commit, size=size)
    add_members(wave, first_number=1, count=request.agents, first_step=0, checkout_bytes=size, now=now)
    what = f"{wave.label}: {wave.size} × {wave.preset} on {checked.repository.name}"
    record(Fact("wave.started", actor, what, "wave", wave.pk, wave.label, {"agents": wave.size}))
    enqueue("control", "apps.waves.jobs.advance_job", wave.pk)
    return wave


def add_members(
    wave: Wave, *, first_number: int, count: int, first_step: int, checkout_bytes: int, now: datetime
) -> None:
    hosts = open_hosts(now)
    width = max(2, len(str(first_number + count - 1)))
    specs = [
        AgentSpec(
            name=f"{wave.label}/agent-{number:0{width}d}",
            group=wave.label,
            role=wave.role,
            preset=wave.preset,
            memory_budget_mb=wave.memory_budget_mb,
            restart_policy=wave.restart_policy,
            prompt=wave.prompt,
            command=wave.command,
            checkout_bytes=checkout_bytes,
        )
        for number in range(first_number, first_number + count)
    ]
    agents = prepare.create_agents(specs=specs, hosts=hosts)
    steps = steps_of(count, wave.step_size, first=first_step)
    numbers = range(first_number, first_number + count)
    Member.objects.bulk_create(
        (
            Member(wave=wave, agent=agent, number=number, step=step)
            for agent, number, step in zip(agents, numbers, steps, strict=True)
        ),
        batch_size=500,
    )
    plan_workspaces(repository=wave.repository, agents=agents, base_commit=wave.base_commit)


def open_hosts(now: datetime) -> list[Host]:
    """Hosts that take agents. Before the first `runhost` came up it is this machine's, by its name."""
    if hosts := hosts_for_agents(now):
        return hosts
    if Host.objects.exists():
        raise WaveRefused("Every host is draining: open one on the Hosts page, or wait.")
    return [Host.objects.create(name=settings.HOST_NAME)]


@transaction.atomic
def pause_wave(*, wave: Wave, actor: Actor, now: datetime, reason: str = "", freeze: bool = True) -> Wave:
    """No further step starts; with `freeze` the agents that run are paused too."""
    require(actor, Role.OPERATOR, "pause waves")
    move(wave, "pause", WaveState.PAUSED, reason=reason or f"by {actor}", waiting_for="")
    if freeze:
        wanted = members_agents(wave).filter(desired=Desired.RUNNING)
        wanted.filter(state=State.READY).update(desired=Desired.HELD)
        wanted.live().update(desired=Desired.PAUSED)
        wanted.returning().update(desired=Desired.PAUSED)
    return announce(wave, "paused", actor, reason)


@transaction.atomic
def resume_wave(*, wave: Wave, actor: Actor, now: datetime) -> Wave:
    require(actor, Role.OPERATOR, "resume waves")
    move(wave, "resume", WaveState.RUNNING, reason="", gate_passed=skipped_gate(wave))
    paused = members_agents(wave).filter(desired=Desired.PAUSED)
    paused.live().update(desired=Desired.RUNNING)
    paused.returning().update(desired=Desired.RUNNING)
    return announce(wave, "resumed", actor)


def skipped_gate(wave: Wave) -> int:
    """Whoever resumes a wave accepts the health of the steps so far: their gate isn't asked again."""
    step = wave.members.exclude(agent__desired=Desired.HELD, agent__state__in=UNSTARTED).aggregate(
        Max("step")
    )
    return (step["step__max"] or 0) + 1


@transaction.atomic
def abort_wave(*, wave: Wave, actor: Actor, now: datetime) -> Wave:
    """Nothing further starts, and what runs is stopped with grace."""
    require(actor, Role.OPERATOR, "abort waves")
    move(wave, "abort", WaveState.ABORTING, reason=f"by {actor}", waiting_for="")
    end_members(wave, actor, now)
    return announce(wave, "aborted", actor)


def end_members(wave: Wave, actor: Actor, now: datetime) -> None:
    """Ask all that is left of a wave to end. In this order: what is about to come back must not slip through."""
    agents = members_agents(wave)
    forget_waiting(agents.returning())
    agents.filter(state__in=(*ENDED, *LIVE)).exclude(restart_at=None).update(restart_at=None)
    unstarted = list(agents.filter(state__in=UNSTARTED).defer("prompt", "command"))
    prepare.withdraw(agents=unstarted, reason="wave aborted", actor=actor, now=now)
    agents.live().exclude(desired__in=(Desired.STOPPED, Desired.KILLED)).update(
        desired=Desired.STOPPED, stop_requested_at=now
    )


@transaction.atomic
def scale_wave(*, wave: Wave, size: int, actor: Actor, now: datetime) -> Wave:
    """More agents are added as further steps; fewer means that the newest are withdrawn, then stopped."""
    require(actor, Role.OPERATOR, "scale waves")
    if not 1 <= size <= MAX_AGENTS:
        raise WaveRefused(f"{size} agents is out of range: give 1 to {MAX_AGENTS}.")
    was = Wave.objects.select_for_update().get(pk=wave.pk)
    if not was.can("scale"):
        raise refused(was, "scale")
    reopened = (
        {"state": WaveState.RUNNING, "ended_at": None, "reason": ""}
        if size > was.size and not was.is_open
        else {}
    )
    Wave.objects.filter(pk=wave.pk).update(size=size, **reopened)
    if size > was.size:
        newest = wave.members.aggregate(
            number=Max("number"), step=Max("step"), size=Max("agent__checkout_bytes")
        )
        add_members(
            was,
            first_number=(newest["number"] or 0) + 1,
            count=size - was.size,
            first_step=(newest["step"] or 0) + 1,
            checkout_bytes=newest["size"] or 0,
            now=now,
        )
    else:
        shrink(was, was.size - size, actor, now)
    return announce(wave, "scaled", actor, f"{was.size} → {size} agents")


def shrink(wave: Wave, count: int, actor: Actor, now: datetime) -> None:
    """End `count` agents: those that have not started first, then the newest. Those on their way out don't count."""
    rows = members_agents(wave).exclude(state__in=ENDED, restart_at=None)
    rows = rows.exclude(desired__in=(Desired.STOPPED, Desired.KILLED), restart_at=None)
    agents = list(rows.defer("prompt", "command").order_by("-member__number"))
    agents.sort(key=lambda agent: agent.state not in UNSTARTED)
    for agent in agents[:count]:
        with suppress(AgentRefused):  # it ended in this moment
            operate.stop(agent=agent, actor=actor, now=now)


@transaction.atomic
def retry_wave(*, wave: Wave, actor: Actor, now: datetime) -> int:
    """Start failed and lost agents again, in the workspaces that they have. Returns how many."""
    require(actor, Role.OPERATOR, "retry agents")
    was = Wave.objects.select_for_update().get(pk=wave.pk)
    if not was.can("retry"):
        raise refused(was, "retry")
    failed = list(
        members_agents(wave).filter(state__in=(State.FAILED, State.LOST)).defer("prompt", "command")
    )
    count = sum(prepare.revive_for_retry(agent=agent) for agent in failed)
    if not count:
        raise WaveRefused(f"{wave.label} has no failed or lost agent: there is nothing to retry.")
    if was.is_open:  # paused it stays: what runs of it is frozen
        when = " when it is resumed" if was.state == WaveState.PAUSED else ""
    else:
        Wave.objects.filter(pk=wave.pk).update(state=WaveState.RUNNING, ended_at=None, reason="")
        when = ""
    announce(wave, "retried", actor, f"{count} agents start again{when}")
    return count


def members_agents(wave: Wave) -> AgentQuerySet:
    return Agent.objects.filter(member__wave=wave)


def move(wave: Wave, verb: str, state: WaveState, **fields: object) -> None:
    """The one transition of a wave that operators and its own gate make."""
    wave.refresh_from_db()
    if not wave.can(verb):
        raise refused(wave, verb)
    if Wave.objects.filter(pk=wave.pk, state=wave.state).update(state=state, **fields) != 1:
        wave.refresh_from_db()
        raise refused(wave, verb)


def refused(wave: Wave, verb: str) -> WaveRefused:
    return WaveRefused(f"{wave.label} is {wave.get_state_display().lower()}: it can't be {PAST[verb]} now.")


PAST = {"pause": "paused", "resume": "resumed", "abort": "aborted", "scale": "scaled", "retry": "retried"}


def announce(wave: Wave, word: str, actor: Actor, detail: str = "") -> Wave:
    text = f"{wave.label} {word}: {detail}" if detail else f"{wave.label} {word}"
    record(Fact(f"wave.{word}", actor, text, "wave", wave.pk, wave.label))
    wave.refresh_from_db()
    for host_pk in members_agents(wave).order_by().values_list("host_id", flat=True).distinct():
        publish_on_commit("host", host_pk)
    enqueue("control", "apps.waves.jobs.advance_job", wave.pk)
    return wave
