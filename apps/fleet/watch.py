"""What `runhost` keeps in mind of one agent between two looks. All of it can be found again from the row, the run
directory and /proc: losing it costs nothing but a fresh look."""

import json
import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

from django.conf import settings

from apps.fleet import logs
from apps.fleet.domain.output import Activity, Observation, Parser, Result, Session, Status, Usage, new_parser
from apps.fleet.domain.output.observation import count, money
from apps.fleet.domain.status import Signs, status_of
from apps.fleet.models import Agent
from apps.fleet.places import marker, run_dir
from apps.fleet.reaper import Tree
from apps.lib.paths import write_whole
from apps.lib.procfs import Process, read_io
from apps.lib.regular import read_regular
from apps.telemetry.domain.sample import Reading

log = logging.getLogger(__name__)

READ_AT_ONCE = 262_144  # bytes of output that one look reads of one agent
LAG_ALLOWED = 4_000_000  # an agent that prints faster than that is skipped forward
KEPT_BYTES = 65_536  # far more than is ever kept in one file
USAGE_BEFORE = "usage-before"  # in the run directory, from the order on
# An agent may have written there instead of us; JSON that is nested deeply ends in a RecursionError.
UNREADABLE = (OSError, ValueError, KeyError, TypeError, RecursionError)
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Watch:
    """One epoch of one agent."""

    agent_pk: int
    epoch: int
    tree: Tree
    parser: Parser
    offset: int
    usage: Usage  # of this epoch
    usage_before: Usage = field(default_factory=Usage)  # of the epochs before it
    parser_ends_on_result: bool = False
    word: str = ""
    word_at: datetime | None = None
    activity: str = ""
    session_id: str = ""
    output_at: datetime | None = None
    result: Result | None = None
    asked_to_end_at: datetime | None = None
    ending_since: datetime | None = None  # since when we try to get rid of what is left of it
    cpu_ticks: int = 0
    cpu_at: datetime | None = None
    cpu_cores: float = 0.0
    memory: int = 0
    written: dict[str, object] = field(default_factory=dict)

    def read_output(self, agent: Agent, now: datetime) -> bool:
        """Take in what it printed since the last look. True if there was something."""
        directory = run_dir(agent)
        end = logs.total(directory)
        if end - self.offset > LAG_ALLOWED:
            self.offset = end - READ_AT_ONCE
        chunk = logs.read(directory, self.offset, READ_AT_ONCE)
        self.offset = chunk.next_offset
        if not chunk.data:
            return False
        self.output_at = now
        self.note_all(self.parser.feed(chunk.data), directory, now)
        return True

    def read_to_end(self, agent: Agent, now: datetime) -> None:
        """All that is left, of an agent that ended; its last line may lack the newline."""
        while self.read_output(agent, now):
            pass
        self.note_all(self.parser.feed(b"\n"), run_dir(agent), now)

    def note_all(self, observations: Iterable[Observation], directory: Path, now: datetime) -> None:
        for observation in observations:
            self.note(observation, now)
            if isinstance(observation, Result):
                keep_result(directory, observation)

    def note(self, observation: Observation, now: datetime) -> None:
        if isinstance(observation, Status):
            self.word, self.word_at = observation.state, now
        elif isinstance(observation, Activity):
            self.activity = observation.text
        elif isinstance(observation, Session):
            self.session_id = observation.id
        elif isinstance(observation, Usage):
            self.usage = observation
        elif isinstance(observation, Result):
            self.result = observation

    def note_word(self, state: str, activity: str, at: datetime) -> None:
        """What the agent itself said over its websocket."""
        if state:
            self.word, self.word_at = state, at
        if activity:
            self.activity = activity

    def measure(self, processes: Mapping[int, Process], now: datetime) -> None:
        members = [processes[pid] for pid in self.tree.members if pid in processes]
        self.memory = sum(process.rss for process in members)
        ticks = sum(process.cpu_ticks + process.waited_ticks for process in members)
        if self.cpu_at is not None and (seconds := (now - self.cpu_at).total_seconds()) > 0:
            # A process that ended takes its ticks along: the sum may fall.
            self.cpu_cores = max(0, ticks - self.cpu_ticks) / TICKS_PER_SECOND / seconds
        self.cpu_ticks, self.cpu_at = ticks, now

    def status(self, agent: Agent, now: datetime) -> str:
        return status_of(
            Signs(
                output_age=age(self.output_at, now),
                cpu_cores=self.cpu_cores,
                word=self.word,
                word_age=age(self.word_at, now),
                run_age=age(agent.first_seen_at, now) or 0.0,
            )
        )

    def reading(self, agent: Agent, now: datetime) -> Reading:
        counts = [io for pid in self.tree.members if (io := read_io(pid)) is not None]
        return Reading(
            agent=agent.pk,
            group=agent.group,
            role=agent.role,
            at=now.timestamp(),
            memory=self.memory,
            cpu_cores=self.cpu_cores,
            read_bytes=sum(io.read_bytes for io in counts),
            write_bytes=sum(io.write_bytes for io in counts),
            host=settings.HOST_NAME,
        )

    def fields(self) -> dict[str, object]:
        """What the row says about the run, as it is now."""
        usage = self.usage_before + self.usage
        return {
            "activity": self.activity[:200],
            "session_id": self.session_id,
            "output_at": self.output_at,
            "output_offset": self.offset - self.parser.pending,
            "tokens_in": usage.tokens_in,
            "tokens_out": usage.tokens_out,
            "cache_read": usage.cache_read,
            "cache_creation": usage.cache_creation,
            "cost_usd": usage.cost_usd,
            "memory_bytes": self.memory,
            "processes": len(self.tree.members),
        }

    def changed(self, fields: dict[str, object]) -> dict[str, object]:
        """Of `fields`, those that differ from what was written last; they count as written from now on."""
        news = {name: value for name, value in fields.items() if self.written.get(name, ...) != value}
        self.written.update(news)
        return news


def age(then: datetime | None, now: datetime) -> float | None:
    return None if then is None else (now - then).total_seconds()


def watch(agent: Agent, parser: str, *, ends_on_result: bool) -> Watch:
    so_far, before = recorded_usage(agent), kept_usage(run_dir(agent))
    if before is None:  # the start isn't even ordered: nothing of this epoch was counted
        before = so_far
    counted = so_far.since(before)
    return Watch(
        agent_pk=agent.pk,
        epoch=agent.epoch,
        tree=Tree(marker(agent)),
        parser=new_parser(parser, counted),
        offset=agent.output_offset,
        usage=counted,
        usage_before=before,
        parser_ends_on_result=ends_on_result,
        activity=agent.activity,
        session_id=agent.session_id,
        output_at=agent.output_at,
        result=kept_result(run_dir(agent)),
    )


def recorded_usage(agent: Agent) -> Usage:
    return Usage(
        agent.tokens_in or 0,
        agent.tokens_out or 0,
        agent.cache_read or 0,
        agent.cache_creation or 0,
        agent.cost_usd,
    )


def kept_usage(directory: Path) -> Usage | None:
    """What the epochs before this one used: a tool's totals are those of one process, the row's of all."""
    try:
        found = json.loads(read_regular(directory / USAGE_BEFORE, KEPT_BYTES))
        return Usage(
            count(found["tokens_in"]),
            count(found["tokens_out"]),
            count(found["cache_read"]),
            count(found["cache_creation"]),
            money(found["cost_usd"]),
        )
    except UNREADABLE:
        return None


def keep_result(directory: Path, result: Result) -> None:
    """The row's offset is soon past the line that told it: whoever takes this agent over finds it here."""
    try:
        write_whole(directory / "result", json.dumps(asdict(result)).encode())
    except OSError as error:
        log.warning("the result of %s is not kept: %s", directory, error)


def kept_result(directory: Path) -> Result | None:
    try:
        found = json.loads(read_regular(directory / "result", KEPT_BYTES))
        return Result(bool(found["ok"]), str(found["text"]))
    except UNREADABLE:
        return None
