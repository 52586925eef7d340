"""Ingest at full speed: how many samples a yard takes in durably, how fast it says so, and whether it counts each once.

A hundred agents with real tokens hold a websocket each and send frames at a steady rate; a frame's lateness runs
from when it was due until its acknowledgement, which the gateway gives once the sample is on disk (Redis with
`appendfsync always`). Meanwhile the telemetry process sums it all up. At the end counts are compared: samples sent,
samples acknowledged, appends that Redis itself counted, and operations in the database: in its totals, and in its
rollups of each resolution, of the agents as of the yard. Everything, the load included, shares the cores of this
machine.
"""

import sys
import time
from collections.abc import Callable

import peers
from ladder import FULL, P95_MS, SIZE, Step, climb, cores_between, words
from load import Load, Websocket
from parts import Parts
from report import Figure, machine, options, say, show
from yard import PROJECT, memory_mb

sys.path.append(str(PROJECT))
from apps.telemetry import snapshot

AGENTS = 100
SAMPLES_PER_S = 100_000
COUNTED_WITHIN = 60.0
PROCESSES = ("redis", "gateway", "telemetry")
# Rows of other resolutions are summed up from these, and later.
ROLLED_UP = """
import json
from django.db.models import Sum
from apps.telemetry.domain.rolling import ROW_SECONDS
from apps.telemetry.models import Rollup
found = {}
for resolution in ROW_SECONDS:
    rows = Rollup.objects.filter(resolution=resolution)
    for who, chosen in (("agents", rows.filter(subject__startswith="agent:")), ("yard", rows.filter(subject="yard"))):
        found[f"{who} {resolution}"] = chosen.aggregate(operations=Sum("operations"))["operations"] or 0
print(json.dumps(found))
"""


def main() -> None:
    chosen = options(__doc__)
    where = machine()
    with Parts(PROCESSES) as yard:
        figures = sustained(yard, 10 if chosen.quick else 60)
        seconds = 2 if chosen.quick else 3
        best, more = highest(yard, seconds)
        figures += more
        figures += peers.ratios(
            {size: again(yard, step, size, seconds) for size, step in best.items()}, seconds
        )
    show("telemetry", {**where, "peers": peers.versions}, figures, as_json=chosen.json)


def sustained(yard: Parts, seconds: int) -> list[Figure]:
    """The load that the yard must bear, and the four counts at its end."""
    load = Load(Websocket(yard.gateway_port, [token for _, token in yard.agents(AGENTS)], (SIZE,)), AGENTS)
    load.run(SAMPLES_PER_S / SIZE / 10, 2)  # imports, caches, the first connection to Redis
    warm = wait_for_count(yard, 0)
    rolled_up = yard.ask(ROLLED_UP)
    appended, used = appends(yard), yard.cpu()
    outcome = load.run(SAMPLES_PER_S / SIZE, seconds, give_up_ms=60_000)
    cores = cores_between(used, yard.cpu(), outcome.seconds)
    behind = time.time() - last_snapshot(yard)
    load.close()
    counted = wait_for_count(yard, warm + outcome.acked * SIZE) - warm
    in_stream = (appends(yard) - appended) * SIZE
    in_rollups = [found - rolled_up[name] for name, found in yard.ask(ROLLED_UP).items()]
    sent, acked = outcome.sent * SIZE, outcome.acked * SIZE
    say(f"{seconds} s; cores {words(cores)}")
    return [
        Figure(
            "ingest_samples_per_s", acked / outcome.answered_seconds, "1/s", 0.99 * SAMPLES_PER_S, "higher"
        ),
        Figure("ingest_frames_per_s", outcome.acked / outcome.answered_seconds, "1/s", None, "higher"),
        Figure("ingest_p50_ms", outcome.p(0.5), "ms", None, "lower"),
        Figure("ingest_p95_ms", outcome.p(0.95), "ms", P95_MS, "lower"),
        Figure("ingest_p99_ms", outcome.p(0.99), "ms", None, "lower"),
        *counts(sent, acked, in_stream, counted, in_rollups),
        Figure("ingest_behind_s", behind, "s", 3.0, "lower"),
        *(Figure(f"ingest_{name}_cores", share, "cores", None, "lower") for name, share in cores.items()),
        Figure("ingest_gateway_mb", memory_mb(yard.pid("gateway"), "Rss"), "MB", None, "lower"),
    ]


def counts(sent: int, acked: int, in_stream: int, in_totals: int, in_rollups: list[int]) -> list[Figure]:
    """Lost is what was acknowledged and isn't everywhere; doubled is what is somewhere and was never sent."""
    kept = [in_stream, in_totals, *in_rollups]
    return [
        Figure("ingest_sent", sent, "", None, "higher"),
        Figure("ingest_acknowledged", acked, "", None, "higher"),
        Figure("ingest_in_stream", in_stream, "", None, "higher"),
        Figure("ingest_in_totals", in_totals, "", None, "higher"),
        Figure("ingest_in_rollups_least", min(in_rollups), "", None, "higher"),
        Figure("ingest_in_rollups_most", max(in_rollups), "", None, "higher"),
        Figure("ingest_lost", max(0, acked - min(kept)), "", 0, "lower"),
        Figure("ingest_doubled", max(0, max(kept) - sent), "", 0, "lower"),
    ]


def highest(yard: Parts, seconds: int) -> tuple[dict[int, Step], list[Figure]]:
    """The highest rates that still hold, for single samples, small frames and full ones; these two as steps by size."""
    starts = {1: 2_000, SIZE: 3_000, FULL: 400}
    found = {size: climb(at_size(yard, size, seconds), start) for size, start in starts.items()}
    most = max(found[1].frames_per_s, found[SIZE].frames_per_s)
    return {size: found[size] for size in (SIZE, FULL)}, [
        Figure("ingest_max_frames_per_s", most, "1/s", 5_000.0, "higher"),
        Figure("ingest_max_samples_per_s", found[FULL].frames_per_s * FULL, "1/s", None, "higher"),
        Figure("ingest_max_samples_per_s_20", found[SIZE].frames_per_s * SIZE, "1/s", None, "higher"),
    ]


def again(yard: Parts, best: Step, size: int, seconds: int) -> Callable[[], Step]:
    step = at_size(yard, size, seconds)
    return lambda: step(best.frames_per_s)


def at_size(yard: Parts, size: int, seconds: int) -> Callable[[float], Step]:
    def step(frames_per_s: float) -> Step:
        load = Load(Websocket(yard.gateway_port, tokens, (size,), seed=size), AGENTS)
        appended, used = appends(yard), yard.cpu()
        outcome = load.run(frames_per_s, seconds, give_up_ms=200)
        load.close()
        settle(yard)
        cores = cores_between(used, yard.cpu(), outcome.seconds)  # with what it put off until there was time
        if appends(yard) - appended < outcome.acked:
            raise SystemExit(
                "Frames were acknowledged that aren't in the stream: this measures something else."
            )
        say(
            f"  frames of {size:3}: {frames_per_s:6.0f}/s, p95 {outcome.p(0.95):6.1f} ms; cores {words(cores)}"
        )
        return Step(frames_per_s, outcome, cores)

    tokens = [token for _, token in yard.agents(AGENTS)]
    return step


def settle(yard: Parts) -> None:
    """Until the telemetry process is through with what a step left, which is a part of its cost."""
    time.sleep(peers.AFTERWARDS)
    deadline = time.monotonic() + COUNTED_WITHIN
    while time.time() - last_snapshot(yard) > 2.5 and time.monotonic() < deadline:
        time.sleep(0.1)


def appends(yard: Parts) -> int:
    """How often anything was added to a stream, as Redis counts its commands."""
    found = yard.redis.info("commandstats").get("cmdstat_xadd")
    return int(found["calls"]) if found else 0


def last_snapshot(yard: Parts) -> float:
    """Until when everything is in the figures that pages show."""
    data = yard.redis.get(snapshot.key(60))
    return snapshot.decode(data).at if isinstance(data, bytes) else 0.0


def wait_for_count(yard: Parts, expected: int) -> int:
    """Operations in the totals, once they are as many, or don't grow for longer than a bucket takes."""
    best, since = -1, time.monotonic()
    while True:
        counted = yard.counted()
        if counted > best:
            best, since = counted, time.monotonic()
        if (expected and counted >= expected) or time.monotonic() - since > 15:
            return counted
        time.sleep(0.5)


if __name__ == "__main__":
    main()
