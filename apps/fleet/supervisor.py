"""The loop of `runhost`: compare what is wanted with what is there, and make it so. It may be killed at any line."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from django.conf import settings
from django.db import transaction

from apps.fleet import cgroup, reaper
from apps.fleet.actions import observe
from apps.fleet.actions.observe import HostReading, Sighting
from apps.fleet.domain.lifecycle import Ending, Seen, Step, Wanted, ending, never_started, next_step
from apps.fleet.domain.preset import LaunchRefused, Preset, PresetError
from apps.fleet.launcher import AlreadyLaunched, MarkerIndex, Run, launch, read_run
from apps.fleet.models import Agent, Desired, Host, State
from apps.fleet.places import home_id, marker, run_dir
from apps.fleet.presets import load_presets
from apps.fleet.reaper import Survey
from apps.fleet.starting import order_for
from apps.fleet.tokens import new_agent_token, token_hash
from apps.fleet.watch import Watch, age, watch
from apps.lib import procfs
from apps.lib.process import ProgramMissing, reap_detached
from apps.lib.redis import RedisUnavailable
from apps.telemetry.domain.sample import Reading
from apps.telemetry.ingest import AgentNow, StreamFull, append_readings, forget, read_now

log = logging.getLogger(__name__)
Write = Callable[[], object]


@dataclass(slots=True)
class Look:
    """One agent at one moment."""

    agent: Agent
    watch: Watch
    run: Run
    seen: Seen


class Supervisor:
    def __init__(self, host: Host, *, boot_id: str, now: Callable[[], datetime]) -> None:
        self.host = host
        self.boot_id = boot_id
        self.now = now
        self.index = MarkerIndex()
        self.watches: dict[int, Watch] = {}
        self.measured_at: datetime | None = None
        self.presets: dict[str, Preset] = {}
        self.strays: set[str] = set()
        self.load_presets()

    def tick(self) -> bool:
        """One round. True when something is in motion that wants the next look soon."""
        now = self.now()
        reap_detached()  # launchers that ended are our zombies, unless a runhost before us started them
        observe.revive_due(host=self.host, now=now)
        agents = list(Agent.objects.for_host_to_do(self.host.name))
        survey = reaper.survey(self.index)
        looks = [look for agent in agents if (look := self.try_to_look(agent, survey))]
        moving = self.act(looks, survey, now)
        if self.measured_at is None or (age(self.measured_at, now) or 0.0) >= settings.HOST_TICK_SECONDS:
            self.measured_at = now
            self.measure(looks, survey, now)
        live = {agent.pk for agent in agents}
        self.watches = {pk: kept for pk, kept in self.watches.items() if pk in live}
        return self.reap_strays(survey) or moving

    def doubt(self) -> None:
        """After the database refused a write: what counts as written may not be."""
        for kept in self.watches.values():
            kept.written.clear()

    def load_presets(self) -> None:
        """An operator's file that is broken leaves the presets as they were: it must not end the loop."""
        try:
            self.presets = load_presets(settings.SWARMYARD_HOME / "presets")
        except PresetError as error:
            log.warning("presets are not read anew: %s", error)
            self.presets = self.presets or load_presets()

    # What is there

    def try_to_look(self, agent: Agent, survey: Survey) -> Look | None:
        """None of an agent whose files can't be read: it must not keep us from the others."""
        try:
            return self.look(agent, survey)
        except OSError:
            log.exception("%s can't be looked at", agent.name)
            return None

    def look(self, agent: Agent, survey: Survey) -> Look:
        kept = self.watches.get(agent.pk)
        if kept is None or kept.epoch != agent.epoch:
            preset = self.presets.get(agent.preset)
            parser = preset.parser if preset else "plain"
            kept = watch(agent, parser, ends_on_result=bool(preset and preset.end_on_result))
            self.watches[agent.pk] = kept
        if agent.epoch == 0 or agent.state == State.READY:
            return Look(agent, kept, Run(None, None, None), Seen())
        run = read_run(run_dir(agent))
        return Look(agent, kept, run, self.seen(agent, kept, run, survey))

    def seen(self, agent: Agent, kept: Watch, run: Run, survey: Survey) -> Seen:
        # What is on record counts: an agent could write into its run directory.
        pid, ticks = (agent.pid, agent.pid_started) if agent.pid else (run.pid, run.start_ticks)
        alive = False
        # Pids and start times of another boot mean nothing; a row without a boot was never seen alive.
        if pid is not None and ticks is not None and agent.boot_id in ("", self.boot_id):
            process = survey.processes.get(pid)
            alive = process is not None and process.start_ticks == ticks and process.alive
            if alive:
                kept.tree.add(pid, ticks)
        kept.tree.observe(survey)
        members = [survey.processes[pid] for pid in kept.tree.members]
        return Seen(
            launched=pid is not None,
            exited=run.exit_code is not None,
            alive=alive,
            left=len(members),
            frozen=bool(members) and all(process.state in "Tt" for process in members),
            launcher=bool(survey.launchers.get(kept.tree.marker)),
        )

    # What to do about it

    def act(self, looks: list[Look], survey: Survey, now: datetime) -> bool:
        steps = [(look, next_step(wanted(look.agent, now), look.seen)) for look in looks]
        self.start_all([look for look, step in steps if step == Step.START], now)
        doomed = [look.watch.tree for look, step in steps if step in (Step.DESTROY, Step.REAP)]
        if doomed:
            reaper.reap_step(doomed, self.index)
        writes: list[Write] = []
        moved = [self.apply(look, step, survey, now, writes) for look, step in steps]
        if writes:
            with transaction.atomic():  # one for all: each transaction waits for the disk
                for write in writes:
                    write()
        for look, step in steps:
            if step == Step.FREEZE:
                reaper.pause(look.watch.tree)
        return any(moved)

    def apply(self, look: Look, step: Step, survey: Survey, now: datetime, writes: list[Write]) -> bool:
        """Do what the step says to the processes, and add to `writes` what is to be written down of it."""
        if step == Step.ADOPT:
            writes.append(partial(self.adopt, look, now))
        elif step == Step.FREEZE:
            # Written first: were we killed between the two, it would stay frozen and nobody would thaw it.
            writes.append(partial(note, look, now, state=State.PAUSED, reason=""))
        elif step == Step.THAW:
            reaper.resume(look.watch.tree)
            writes.append(partial(note, look, now, state=State.BUSY))
        elif step == Step.TERMINATE:
            reaper.ask_to_stop(look.watch.tree)
            writes.append(partial(note, look, now, state=State.STOPPING))
        elif step == Step.END and self.is_rid_of(look, survey, now):
            writes.append(partial(self.end, look, now))
        return step != Step.NOTHING or look.agent.state == State.STARTING

    def start_all(self, looks: list[Look], now: datetime) -> None:
        """Claim in one transaction, then launch: the claim must be on disk before a process is."""
        if looks:
            self.load_presets()
        claimed: list[tuple[Look, str]] = []
        with transaction.atomic():
            for look in looks:
                token = new_agent_token()
                if self.claim(look.agent, token, now):
                    claimed.append((look, token))
        for look, token in claimed:
            self.start(look.agent, token, now)

    def claim(self, agent: Agent, token: str, now: datetime) -> bool:
        if agent.state == State.STARTING:  # claimed before, by a runhost that died before it could launch
            return observe.renew_token(agent=agent, token_hash=token_hash(token))
        return observe.claim_start(agent=agent, token_hash=token_hash(token), now=now)

    def start(self, agent: Agent, token: str, now: datetime) -> None:
        preset = self.presets.get(agent.preset)
        try:
            if preset is None:
                raise PresetError(f"there is no preset “{agent.preset}” on host {self.host.name}")
            launch(order_for(agent, preset, token))
        except AlreadyLaunched:
            run = read_run(run_dir(agent))
            if run.pid is None and run.exit_code is None:
                # A runhost before this one prepared the launch, and died before its launcher could begin.
                observe.pass_over_epoch(agent=agent, now=now)
            # Else it did start, and a database that came back from a crash or a backup forgot it: the next look knows.
        except (
            PresetError,
            LaunchRefused,
            ProgramMissing,
            cgroup.NoControlGroup,
            OSError,
            ValueError,
        ) as error:
            failed = Ending("failed", f"could not be started: {error}")
            observe.record_end(agent=agent, ending=failed, exit_code=None, max_restarts=0, now=now, fields={})

    def adopt(self, look: Look, now: datetime) -> None:
        pid, ticks = look.run.pid, look.run.start_ticks
        if pid is None or ticks is None:
            return
        observe.record_started(agent=look.agent, pid=pid, pid_started=ticks, boot_id=self.boot_id, now=now)

    def is_rid_of(self, look: Look, survey: Survey, now: datetime) -> bool:
        """Whether nothing of an ended agent is left and all that it printed was read."""
        if survey.launchers.get(look.watch.tree.marker):
            # Its logger takes in the last of its output, or waits because somebody else holds the other end.
            self.reap_holders(look, survey)
            return False
        self.read_output(look, now, to_end=True)
        tidy_after(look.agent)
        return True

    def end(self, look: Look, now: datetime) -> None:
        """Write down how it ended."""
        if look.agent.state == State.STARTING and not never_started(look.run.exit_code):
            self.adopt(look, now)  # it was so quick that it was never seen alive
        fields = look.watch.fields()
        for name in ("memory_bytes", "processes"):
            fields.pop(name)
        observe.record_end(
            agent=look.agent,
            ending=ending_of(look),
            exit_code=look.run.exit_code,
            max_restarts=settings.MAX_RESTARTS,
            now=now,
            fields=fields,
        )

    def reap_holders(self, look: Look, survey: Survey) -> None:
        tree = look.watch.tree
        for pid in reaper.output_holders(tree.marker, survey):
            tree.add(pid, survey.processes[pid].start_ticks)
        if tree.members:
            reaper.reap_step([tree], self.index)

    def reap_strays(self, survey: Survey) -> bool:
        """Processes that carry the marker of an epoch which is over: nobody waits for them any more."""
        current = {kept.tree.marker for kept in self.watches.values()}
        strays = {text for text in survey.agents if text not in current and self.is_over(text)}
        new, self.strays = strays - self.strays, strays
        if new:
            log.warning("processes outlived their agents and are ended: %s", ", ".join(sorted(new)))
        if strays:
            reaper.reap_step([reaper.Tree(text) for text in strays], self.index)
        return bool(new)  # some may be beyond our rights: that is no reason to hurry

    def is_over(self, text: str) -> bool:
        """Whether a marker is of this home, and of an epoch that doesn't live any more."""
        owner, _, rest = text.partition(".")
        pk, _, epoch = rest.partition(".")
        if owner != home_id() or not (pk.isdigit() and epoch.isdigit()):
            return False
        return not Agent.objects.filter(pk=int(pk), epoch=int(epoch)).live().exists()

    # Measuring, once a second

    def measure(self, looks: list[Look], survey: Survey, now: datetime) -> None:
        alive = [look for look in looks if look.seen.alive]
        words = words_of(alive)
        sightings, readings = [], []
        for look in alive:
            self.read_output(look, now)
            look.watch.measure(survey.processes, now)
            if (word := words.get(look.agent.pk)) and is_of_this_run(word, look.agent):
                look.watch.note_word(word.state, word.now, datetime.fromtimestamp(word.at, tz=UTC))
            readings.append(look.watch.reading(look.agent, now))
            self.end_after_result(look, now)
            if fields := look.watch.changed(look.watch.fields() | self.state_fields(look, now)):
                sightings.append(Sighting(look.agent.pk, look.agent.epoch, fields))
        observe.record_sightings(sightings=sightings, seen=[look.agent.pk for look in alive], now=now)
        observe.record_reading(host=self.host, reading=host_reading(), now=now)
        send(readings)

    def read_output(self, look: Look, now: datetime, *, to_end: bool = False) -> None:
        try:
            if to_end:
                look.watch.read_to_end(look.agent, now)
            else:
                look.watch.read_output(look.agent, now)
        except OSError:
            log.exception("the output of %s can't be read", look.agent.name)

    def state_fields(self, look: Look, now: datetime) -> dict[str, object]:
        """Busy, idle or waiting, where it is one of these; the other states are only left by a step."""
        if look.agent.state not in (State.BUSY, State.IDLE, State.WAITING):
            return {}
        if look.agent.desired != Desired.RUNNING:
            return {}
        return {"state": look.watch.status(look.agent, now)}

    def end_after_result(self, look: Look, now: datetime) -> None:
        """Some tools linger after their final result; that is the end of their work, so they are asked to go."""
        if look.watch.result is None or not look.watch.parser_ends_on_result:
            return
        if look.watch.asked_to_end_at is None:
            look.watch.asked_to_end_at = now
            return
        waited = age(look.watch.asked_to_end_at, now) or 0.0
        if waited >= settings.STOP_GRACE_SECONDS:
            reaper.reap_step([look.watch.tree], self.index)
        elif waited >= settings.HOST_TICK_SECONDS:
            reaper.ask_to_stop(look.watch.tree)


def wanted(agent: Agent, now: datetime) -> Wanted:
    return Wanted(
        desired=agent.desired,
        state=agent.state,
        seconds_since_stop=age(agent.stop_requested_at, now),
        seconds_since_launch=age(agent.launched_at, now),
        grace=settings.STOP_GRACE_SECONDS,
    )


def note(look: Look, now: datetime, **fields: object) -> None:
    news = look.watch.changed(fields) or fields
    observe.record_sightings(
        sightings=[Sighting(look.agent.pk, look.agent.epoch, news)], seen=[look.agent.pk], now=now
    )


def ending_of(look: Look) -> Ending:
    result = look.watch.result
    if look.watch.asked_to_end_at is not None and result is not None:
        return (
            Ending("exited", "done")
            if result.ok
            else Ending("failed", result.text[:200] or "failed, it says")
        )
    return ending(
        exit_code=look.run.exit_code,
        asked=look.agent.desired in (Desired.STOPPED, Desired.KILLED),
        result_error="" if result is None or result.ok else result.text[:200],
    )


def words_of(looks: list[Look]) -> dict[int, AgentNow]:
    """What agents said of themselves over their websockets."""
    try:
        return read_now(look.agent.pk for look in looks)
    except RedisUnavailable:
        return {}


def is_of_this_run(word: AgentNow, agent: Agent) -> bool:
    """What its last run said is dropped when that ends; not when Redis was away then."""
    return agent.launched_at is not None and word.at >= agent.launched_at.timestamp()


def tidy_after(agent: Agent) -> None:
    """Things that an agent leaves behind elsewhere. None of them is a reason not to write down its end."""
    try:
        forget(agent.pk)
    except RedisUnavailable as error:
        log.debug("what %s said stays for now: %s", agent.name, error)
    try:
        cgroup.remove_named(marker(agent))
    except OSError as error:
        log.warning("the control group of %s stays: %s", agent.name, error)


def send(readings: list[Reading]) -> None:
    """Readings of memory and CPU are worth a second: with Redis away or full they are let go."""
    try:
        append_readings(readings)
    except (RedisUnavailable, StreamFull) as error:
        log.debug("readings not sent: %s", error)


def host_reading() -> HostReading:
    topology, memory, disk = procfs.cpu_topology(), procfs.read_memory(), procfs.disk(settings.SWARMYARD_HOME)
    pressures = {kind: procfs.pressure(kind) for kind in ("memory", "cpu", "io")}
    some = {kind: reading.some_avg10 if reading else None for kind, reading in pressures.items()}
    usable = min(topology.affinity, topology.quota or topology.affinity)
    return HostReading(
        logical_cpus=topology.logical,
        physical_cpus=topology.physical,
        usable_cpus=usable,
        load_1=os.getloadavg()[0],
        memory_total=memory.total,
        memory_available=memory.available,
        memory_pressure=some["memory"],
        cpu_pressure=some["cpu"],
        io_pressure=some["io"],
        disk_total=disk.total,
        disk_free=disk.free,
    )
