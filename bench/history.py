"""What history costs: writing it for 100 agents with 10 operations a second each, its size, reading it back, and
starting again from it. One process, on SQLite as a yard has it."""

import gc
import os
import random
import resource
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from report import Figure, machine, options, say, show
from yard import PROJECT

HOME = Path(tempfile.mkdtemp(prefix="yard-bench-", dir="/tmp"))
os.environ.update(SWARMYARD_HOME=str(HOME), DJANGO_SETTINGS_MODULE="controlplane.settings")
os.environ.pop("DATABASE_URL", None)
sys.path.append(str(PROJECT))

import django  # noqa: E402

django.setup()
from django.core.management import call_command  # noqa: E402
from django.db.models import Count, Sum  # noqa: E402
from django.db.models.functions import Length  # noqa: E402

from apps.telemetry import actions, history  # noqa: E402
from apps.telemetry.actions import Mark  # noqa: E402
from apps.telemetry.domain.live import Live  # noqa: E402
from apps.telemetry.domain.pending import Pending  # noqa: E402
from apps.telemetry.domain.placing import placed  # noqa: E402
from apps.telemetry.domain.rolling import HOUR, ROW_SECONDS  # noqa: E402
from apps.telemetry.domain.sample import Reading, Sample  # noqa: E402
from apps.telemetry.domain.sketch import Sketch  # noqa: E402
from apps.telemetry.domain.subjects import Labels  # noqa: E402
from apps.telemetry.ingest import STREAM  # noqa: E402
from apps.telemetry.models import Rollup  # noqa: E402
from apps.telemetry.rebuild import restored  # noqa: E402

AGENTS, OPERATIONS = 100, 10
KINDS = (
    ("edit", 0.45, 12.0),
    ("read", 0.3, 4.0),
    ("build", 0.1, 900.0),
    ("test", 0.1, 400.0),
    ("commit", 0.05, 35.0),
)
LABELS = Labels("w1", "coder", "local", "core")


def main() -> None:
    chosen = options(__doc__)
    where = machine()
    try:
        call_command("migrate", verbosity=0)
        figures = run(600 if chosen.quick else 1_200)
        figures += sketches(300_000 if chosen.quick else 3_333_334)
    finally:
        shutil.rmtree(HOME, ignore_errors=True)
    show("history", where, figures, as_json=chosen.json)


def run(seconds: int) -> list[Figure]:
    begin = int(time.time()) // 600 * 600 - seconds
    chance, live, pending, mark = random.Random(7), Live(), Pending(), actions.current_mark(stream=STREAM)
    writing: list[float] = []
    memory = rss()
    for second in range(begin, begin + seconds):
        work(live, pending, second, chance)
        if (second + 1) % 10 == 0:
            live.advance(second + 1)
            while live.gauged:
                pending.gauge(*live.gauged.popitem())
            slots = pending.closed(second + 1)
            cpu = time.process_time()
            after = Mark(f"{second}000-0", second + 1.0)
            actions.record(stream=STREAM, slots=slots, before=mark, after=after)
            writing.append(time.process_time() - cpu)
            pending.drop(slots)
            mark = after
    memory = rss() - memory
    say(f"{seconds} s of {AGENTS} agents written")
    kept = (
        Rollup.objects.values("resolution").annotate(rows=Count("id"), size=Sum(Length("cells"))).order_by()
    )
    written = len(ROW_SECONDS) * (AGENTS + 5) + AGENTS  # of each resolution one row, and the totals of agents
    return [
        Figure("history_write_cpu_pct", 100 * statistics.fmean(writing) / 10, "% of a core", 3, "lower"),
        Figure("history_write_p95_ms", 1000 * sorted(writing)[int(0.95 * len(writing))], "ms", None, "lower"),
        Figure("history_rows_per_s", written / 10, "rows/s", None, "lower"),
        *(
            Figure(
                f"history_{row['resolution']}s_kb",
                row["size"] / row["rows"] * 3.6 / ROW_SECONDS[row["resolution"]],
                "kB/h",
                None,
                "lower",
            )
            for row in kept
        ),
        Figure("live_kb_per_agent", memory / AGENTS / 1024, "kB", None, "lower"),
        *reading(begin, begin + seconds),
        *a_month(begin + seconds),
        *starting(begin + seconds),
    ]


def work(live: Live, pending: Pending, second: int, chance: random.Random) -> None:
    readings = [
        Reading(pk, LABELS.wave, LABELS.role, second, 200_000_000 + pk, 0.25, host="local")
        for pk in range(AGENTS)
    ]
    live.read(at=second, readings=readings)
    pending.read((second * 1000, 0), readings)
    for pk in range(AGENTS):
        kinds = chance.choices(KINDS, [share for _, share, _ in KINDS], k=OPERATIONS)
        made = [
            Sample(kind, second, median * chance.lognormvariate(0, 0.7), 0.0, "ok")
            for kind, _, median in kinds
        ]
        parts = placed(made, second + 0.5)
        live.add(at=second + 0.5, agent=pk, labels=LABELS, parts=parts)
        pending.add((second * 1000 + 500, pk), agent=pk, labels=LABELS, parts=parts)


def reading(begin: int, end: int) -> list[Figure]:
    found = []
    for subject in ("agent:1", "yard"):
        wall = time.perf_counter()
        charts = history.read(subject, ["throughput", "p50", "p95", "p99"], begin, end, history.MAX_POINTS)
        each = (time.perf_counter() - wall) / len(charts.times)
        name = subject.partition(":")[0]
        found.append(Figure(f"history_read_{name}_2000_points_ms", each * 2000 * 1000, "ms", None, "lower"))
    return found


def a_month(end: int) -> list[Figure]:
    """Thirty days of a busy yard, as a page draws them: every hour of it like the one that was written."""
    hour = Rollup.objects.filter(subject="yard", resolution=HOUR).order_by("-operations")[0]
    starts = range(end // HOUR * HOUR - 30 * 24 * HOUR, end // HOUR * HOUR, HOUR)
    Rollup.objects.bulk_create(
        Rollup(subject="wave:month", resolution=HOUR, start=start, cells=hour.cells) for start in starts
    )
    begun = time.perf_counter()
    history.read("wave:month", ["throughput", "p50", "p95", "p99"], end - 30 * 24 * HOUR, end, 300)
    return [Figure("history_read_30_days_ms", (time.perf_counter() - begun) * 1000, "ms", None, "lower")]


def starting(now: int) -> list[Figure]:
    gc.collect()
    begun = time.process_time()
    restored(now=now)
    return [Figure("restart_cpu_s", time.process_time() - begun, "s", None, "lower")]


def sketches(count: int) -> list[Figure]:
    """Percentiles of three shapes against exact ones, merging, and the memory of one sketch in a live ring."""
    chance, worst = random.Random(3), 0.0
    shapes = {
        "log-normal": lambda: chance.lognormvariate(3, 1),
        "pareto": lambda: 5 * chance.paretovariate(1.5),
        "two peaks": lambda: abs(chance.gauss(20, 3) if chance.random() < 0.9 else chance.gauss(900, 80)),
    }
    for shape, draw in shapes.items():
        values = sorted(draw() for _ in range(count))
        sketch = Sketch()
        sketch.add_all(values)
        for rank in (0.5, 0.95, 0.99):
            exact = values[-(-int(rank * 100) * count // 100) - 1]
            worst = max(worst, abs((sketch.quantiles(rank)[0] or 0.0) / exact - 1))
        say(f"{count} values, {shape}: at most {100 * worst:.2f} % off so far")
    return [
        Figure("percentile_error_pct", 100 * worst, "%", 1, "lower"),
        *(
            Figure(f"merge_1000_of_{size}_ms", merging(size, chance), "ms", 50, "lower")
            for size in (10, 1_000, 100_000)
        ),
        *(
            Figure(f"sketch_of_{size}_bytes", weight(filled(size, chance)), "bytes", None, "lower")
            for size in (10, 1_000)
        ),
    ]


def filled(size: int, chance: random.Random) -> Sketch:
    sketch = Sketch()
    sketch.add_all([chance.lognormvariate(3, 1) for _ in range(size)])
    sketch.freeze()
    return sketch


def merging(size: int, chance: random.Random) -> float:
    some = [filled(size, chance) for _ in range(20)]
    spent = []
    for _ in range(5):
        begun, whole = time.perf_counter(), Sketch()
        for number in range(1_000):
            whole.merge(some[number % len(some)])
        spent.append(time.perf_counter() - begun)
    return statistics.median(spent) * 1000


def weight(sketch: Sketch) -> float:
    """A sketch that is frozen: its own object and its bytes."""
    return sys.getsizeof(sketch) + sys.getsizeof(sketch.to_bytes())


def rss() -> int:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    main()
