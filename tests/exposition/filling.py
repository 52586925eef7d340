"""A yard in which everything that `/metrics` can say has something to tell."""

import random
import time
from datetime import timedelta

from django.utils import timezone

from apps.builds.cache_actions import record_cache
from apps.builds.sccache import Figures, Program
from apps.fleet.models import Host
from apps.lib.redis import connection
from apps.telemetry import actions
from apps.telemetry.actions import Mark
from apps.telemetry.domain.measures import Measured, Measures
from apps.telemetry.domain.pending import Slot, Work
from apps.telemetry.domain.sample import Sample
from apps.telemetry.domain.subjects import Labels
from apps.telemetry.domain.tally import tally_of
from apps.telemetry.ingest import BYTES_IN, STREAM
from tests.console.figures import made_up_snapshot, publish
from tests.factories import make_event, make_member, make_repository, make_wave


def fill(agents: int = 3, *, waves: int = 1) -> list[int]:
    """Primary keys of the agents of each wave."""
    repository = make_repository()
    made = []
    for number in range(1, waves + 1):
        wave = make_wave(f"w{number}", repository=repository, size=agents)
        made += [
            make_member(
                wave,
                queue_time=timedelta(seconds=0.3),
                spawn_time=timedelta(seconds=0.08),
                epoch=2,
                role="coder",
            ).pk
            for _ in range(agents)
        ]
        make_event(f"w{number} started")
        report(*made[-agents:], wave=wave.label)
        measure(made[-1], **{"tokens.input": 1_000.0, "tokens.output": 40.0, "cost_usd": 0.5})
    cache_crates()
    return made


def cache_crates() -> None:
    for host in Host.objects.all():
        record_cache(
            host=host,
            problem="",
            program=Program("/bin/sccache", "0.16.0"),
            figures=Figures(30, 10, 1, {"crate-type": 4}, "here", 5_000_000, 50_000_000),
            now=timezone.now(),
        )


def measure(agent: int, model: str = "claude-opus", **amounts: float) -> None:
    """What it measured by OTLP is counted, as the telemetry process does it."""
    mark = actions.current_mark(stream=STREAM)
    start = int(time.time()) // 10 * 10
    measures: Measures = {
        name: Measured("", "sum", amount, models={model: amount} if model else None)
        for name, amount in amounts.items()
    }
    after = Mark(f"1-{int(mark.last_id.split('-')[1]) + 1}", time.time())
    actions.record(stream=STREAM, slots=[], before=mark, after=after, measured=[(start, agent, measures)])


def report(
    *agents: int, wave: str = "w1", role: str = "coder", ms: tuple[float, ...] = (2.0, 40.0, 700.0)
) -> None:
    """What these agents reported is counted, as the telemetry process does it."""
    mark = actions.current_mark(stream=STREAM)
    outcomes = ["ok", "error", "induced"]
    tally = tally_of(
        [Sample("build", 0.0, each, 1.0, outcomes[place % 3], "slot") for place, each in enumerate(ms)]
    )
    start = int(time.time()) // 10 * 10
    labels = Labels(wave, role, "local", "project")
    works = {agent: Work(agent, labels, {start: tally}) for agent in agents}
    number = int(mark.last_id.split("-")[1]) + 1
    after = Mark(f"1-{number}", time.time())
    actions.record(stream=STREAM, slots=[Slot(start, (1, number), works)], before=mark, after=after)


def publish_figures(agents: list[int], *, age: float = 0.0) -> None:
    publish(made_up_snapshot(agents, ["w1"], window=60, at=time.time() - age, tick=random.randint(1, 99)))


def hold_samples(entries: int = 2) -> None:
    for _ in range(entries):
        connection().xadd(STREAM, {"s": b"x" * 50, "n": connection().incrby(BYTES_IN, 50)})
