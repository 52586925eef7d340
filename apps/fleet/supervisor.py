"""The loop of `runhost`: compare what is wanted with what is there, and make it so. It may be killed at any line."""

import logging
import re
from collections.abc import Callable
from datetime import datetime
from functools import partial

from django.conf import settings
from django.db import transaction

from apps.fleet import cgroup, reaper
from apps.fleet.actions import observe
from apps.fleet.domain.lifecycle import (
    ENDING_LIMIT,
    HURRY,
    STARTING_LIMIT,
    Ending,
    Seen,
    Step,
    never_launched,
    never_started,
    next_step,
)
from apps.fleet.domain.preset import LaunchRefused, Preset, PresetError
from apps.fleet.launcher import AlreadyLaunched, MarkerIndex, Run, launch, read_run
from apps.fleet.look import Look, ending_of, is_just_starting, note, wanted
from apps.fleet.measuring import Measuring
from apps.fleet.models import Agent, Desired, Host, State
from apps.fleet.places import home_id, presets_dir, run_dir
from apps.fleet.presets import load_presets
from apps.fleet.reaper import Survey
from apps.fleet.starting import order_for
from apps.fleet.surroundings import kill_limited, tidy_after
from apps.fleet.tokens import new_agent_token, token_hash
from apps.fleet.trouble import NOT_WRITABLE, Trouble
from apps.fleet.watch import Watch, age, watch
from apps.lib.process import ProgramMissing, reap_detached

log = logging.getLogger(__name__)
MARKED = re.compile(
    r"\.([1-9][0-9]{0,17})\.([1-9][0-9]{0,8})", re.ASCII
)  # after the home's id: agent and epoch
Write = tuple[Agent, Callable[[], object]]


class Supervisor:
    def __init__(self, host: Host, *, boot_id: str, now: Callable[[], datetime]) -> None:
        self.host = host
        self.boot_id = boot_id
        self.now = now
        self.index = MarkerIndex()
        self.watches: dict[int, Watch] = {}
        self.presets: dict[str, Preset] = {}
        self.strays: set[str] = set()
        self.trouble = Trouble()
        self.measuring = Measuring(host, self.index, self.trouble)
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
        self.measuring.measure_if_due(looks, survey, now)
        live = {agent.pk for agent in agents}
        self.watches = {pk: kept for pk, kept in self.watches.items() if pk in live}
        self.trouble.keep_only(live)
        return self.reap_strays(survey) or moving

    def doubt(self) -> None:
        """After the database refused a write: what counts as written may not be."""
        for kept in self.watches.values():
            kept.written.clear()

    def load_presets(self) -> None:
        """An operator's file that is broken leaves the presets as they were: it must not end the loop."""
        try:
            self.presets = load_presets(presets_dir())
        except PresetError as error:
            log.warning("presets are not read anew: %s", error)
            self.presets = self.presets or load_presets()

    # What is there

    def try_to_look(self, agent: Agent, survey: Survey) -> Look | None:
        """None of an agent that can't be looked at, whatever the cause: it must not keep us from the others."""
        try:
            return self.look(agent, survey)
        except Exception as error:
            self.trouble.tell(agent, "looked at", error)
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
        doomed = [look for look, step in steps if step in (Step.DESTROY, Step.REAP, Step.ABANDON)]
        if doomed:
            kill_limited(look.agent for look in doomed)
            reaper.reap_step([look.watch.tree for look in doomed], self.index)
        writes: list[Write] = []
        moved = [self.try_to_apply(look, step, survey, now, writes) for look, step in steps]
        self.write_all(writes)
        for look, step in steps:
            if step == Step.FREEZE:
                reaper.pause(look.watch.tree)
        return any(moved)

    def write_all(self, writes: list[Write]) -> None:
        if not writes:
            return
        try:
            with transaction.atomic():  # one for all: each transaction waits for the disk
                for _, write in writes:
                    write()
            return
        except NOT_WRITABLE:
            self.doubt()  # none of it is written
        for agent, write in writes:
            try:
                with transaction.atomic():
                    write()
            except Exception as error:
                self.trouble.tell(agent, "written down", error)

    def try_to_apply(
        self, look: Look, step: Step, survey: Survey, now: datetime, writes: list[Write]
    ) -> bool:
        try:
            return self.apply(look, step, survey, now, writes)
        except Exception as error:
            self.trouble.tell(look.agent, f"brought to “{step}”", error)
            return False

    def apply(self, look: Look, step: Step, survey: Survey, now: datetime, writes: list[Write]) -> bool:
        """Do what the step says to the processes, and add to `writes` what is to be written down of it."""
        if step == Step.ADOPT:
            writes.append((look.agent, partial(self.adopt, look, now)))
        elif step == Step.FREEZE:
            if look.agent.state == State.PAUSED:
                return (
                    False  # signalled again below; one in the middle of a vfork stops when it comes out of it
                )
            # Written first: were we killed between the two, it would stay frozen and nobody would thaw it.
            writes.append((look.agent, partial(note, look, now, state=State.PAUSED, reason="")))
        elif step == Step.THAW:
            reaper.resume(look.watch.tree)
            writes.append((look.agent, partial(note, look, now, state=State.BUSY)))
        elif step == Step.TERMINATE:
            reaper.ask_to_stop(look.watch.tree)
            writes.append((look.agent, partial(note, look, now, state=State.STOPPING)))
        elif step == Step.ABANDON:
            reaper.kill_launcher_side(look.watch.tree.marker, survey)
            writes.append((look.agent, partial(self.abandon, look, now)))
        elif step in (Step.DESTROY, Step.REAP, Step.END) or look.awaits_status:
            return self.bring_to_end(look, step, survey, now, writes)
        look.watch.ending_since = None
        return step != Step.NOTHING or is_just_starting(look.agent, now)

    def bring_to_end(
        self, look: Look, step: Step, survey: Survey, now: datetime, writes: list[Write]
    ) -> bool:
        """Nothing must be left of it, but what is beyond our rights or stuck in the kernel can't hold up its end."""
        since = look.watch.ending_since = look.watch.ending_since or now
        trying = age(since, now) or 0.0
        late = trying >= (STARTING_LIMIT if step == Step.NOTHING else ENDING_LIMIT)
        held = bool(survey.launchers.get(look.watch.tree.marker))
        if late or (step == Step.END and not held):
            look.held = held and look.seen.exited
            self.take_last(look, survey, now)
            writes.append((look.agent, partial(self.end, look, now)))
        elif step == Step.END:
            # Its logger takes in the last of its output, or waits because somebody else holds the other end.
            self.reap_holders(look, survey)
        return late or trying < HURRY

    def start_all(self, looks: list[Look], now: datetime) -> None:
        """Claim in one transaction, then launch: the claim must be on disk before a process is."""
        if not looks:
            return
        self.load_presets()
        tokens = {look.agent.pk: new_agent_token() for look in looks}
        claimed = {agent.pk: agent for agent in self.claim([look.agent for look in looks], tokens, now)}
        for look in looks:
            look.agent = claimed.get(look.agent.pk, look.agent)
        for agent in claimed.values():
            try:
                self.start(agent, tokens[agent.pk], now)
            except Exception as error:
                self.trouble.tell(agent, "started", error)

    def claim(self, agents: list[Agent], tokens: dict[int, str], now: datetime) -> list[Agent]:
        hashes = {pk: token_hash(token) for pk, token in tokens.items()}
        with transaction.atomic():
            # Claimed before, by a runhost that died before it could launch.
            cut_off = [agent for agent in agents if agent.state == State.STARTING]
            renewed = [
                agent for agent in cut_off if observe.renew_token(agent=agent, token_hash=hashes[agent.pk])
            ]
            waiting = [agent for agent in agents if agent.state != State.STARTING]
            return renewed + observe.claim_starts(agents=waiting, token_hashes=hashes, now=now)

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
        observe.record_started(
            agent=look.agent,
            pid=pid,
            pid_started=ticks,
            boot_id=self.boot_id,
            now=now,
            file_time=look.run.started_at,
        )

    def take_last(self, look: Look, survey: Survey, now: datetime) -> None:
        """All that it printed. A launcher or logger that is still there would wait for ever."""
        reaper.kill_launcher_side(look.watch.tree.marker, survey)
        self.measuring.read_output(look, now, to_end=True)
        look.over_limit = tidy_after(look.agent)

    def abandon(self, look: Look, now: datetime) -> None:
        asked = look.agent.desired in (Desired.STOPPED, Desired.KILLED)
        self.record_end(look, never_launched(asked=asked), now)

    def end(self, look: Look, now: datetime) -> None:
        """Write down how it ended."""
        if look.agent.state == State.STARTING and not never_started(look.run.exit_code):
            self.adopt(look, now)  # it was so quick that it was never seen alive
        self.record_end(look, ending_of(look), now)

    def record_end(self, look: Look, ended: Ending, now: datetime) -> None:
        fields = look.watch.fields()
        for name in ("memory_bytes", "processes"):
            fields.pop(name)
        observe.record_end(
            agent=look.agent,
            ending=ended,
            exit_code=look.run.exit_code,
            max_restarts=settings.MAX_RESTARTS,
            now=now,
            fields=fields,
            file_time=look.run.ended_at,
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
        carried = survey.agents.keys() | survey.launchers.keys()
        strays = {text for text in carried if text not in current and self.is_over(text)}
        new, self.strays = strays - self.strays, strays
        if new:
            log.warning("processes outlived their agents and are ended: %s", ", ".join(sorted(new)))
        if strays:
            reaper.reap_step([reaper.Tree(text) for text in strays], self.index)
        for text in strays - new:  # a launcher that is about to end has had its time
            reaper.kill_launcher_side(text, survey)
        return bool(new)  # some may be beyond our rights: that is no reason to hurry

    def is_over(self, text: str) -> bool:
        """Whether a marker is of this home, and of an epoch that doesn't live any more."""
        home = home_id()
        found = MARKED.fullmatch(text.removeprefix(home)) if text.startswith(home) else None
        if found is None:
            return False
        return not Agent.objects.filter(pk=int(found[1]), epoch=int(found[2])).live().exists()
