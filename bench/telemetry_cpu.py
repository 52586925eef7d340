"""What the telemetry path costs in everyday use, process by process, and what is kept of it: 100 agents that report 10
operations a second each, and a host that reads them once a second. First while nobody looks at a page, when the
gateway asks agents for a frame every two seconds, then while somebody does, with four a second; both as the agents'
client does it. The path is the gateway, Redis and the telemetry process."""

import sys
import time
from threading import Event, Thread

import msgspec
from load import Load, Websocket
from parts import Parts
from report import Figure, machine, options, say, show
from yard import PROJECT

sys.path.append(str(PROJECT))
from apps.telemetry.pace import CALM, KEPT_MS, QUICK, WATCHED

AGENTS, OPERATIONS = 100, 10  # agents, and what each reports a second
WARM_UP = 15.0
KEPT = """
import json
from django.db.models import Count, Sum
from django.db.models.functions import Length
from apps.telemetry.models import Rollup
rows = Rollup.objects.values("resolution").annotate(rows=Count("id"), bytes=Sum(Length("cells")))
print(json.dumps({row["resolution"]: [row["rows"], row["bytes"]] for row in rows.order_by()}))
"""


def main() -> None:
    chosen = options(__doc__)
    where = machine()
    with Parts(["redis", "gateway", "telemetry"]) as parts:
        figures = run(parts, 20.0 if chosen.quick else 120.0)
    show("telemetry_cpu", where, figures, as_json=chosen.json)


def run(parts: Parts, seconds: float) -> list[Figure]:
    agents = parts.agents(AGENTS)
    over = Event()
    reader = Thread(target=read_off, args=(parts, [pk for pk, _ in agents], over))
    reader.start()
    tokens = [token for _, token in agents]
    try:
        calm = measured(parts, tokens, CALM, seconds)
        say_watched(parts)
        quick = measured(parts, tokens, QUICK, seconds)
    finally:
        over.set()
        reader.join()
    return [
        *shares("", calm, goal=10.0),
        *shares("watched_", quick),
        *rows(parts, 2 * (WARM_UP + seconds)),
    ]


def measured(parts: Parts, tokens: list[str], pace: float, seconds: float) -> dict[str, float]:
    """Per cent of a core, by process."""
    each = OPERATIONS * pace
    load = Load(Websocket(parts.gateway_port, tokens, sorted({int(each), round(each + 0.5)})[:2]), AGENTS)
    try:
        load.run(AGENTS / pace, WARM_UP)
        say(f"{AGENTS} agents report every {pace} s; measuring {seconds:.0f} s")
        before, begun = parts.cpu(), time.monotonic()
        outcome = load.run(AGENTS / pace, seconds)
        after, passed = parts.cpu(), time.monotonic() - begun
    finally:
        load.close()
    say(f"p95 of an acknowledgement {outcome.p(0.95):.1f} ms; {outcome.acked / passed:.0f} frames/s")
    return {name: 100 * (after[name] - before[name]) / passed for name in after}


def shares(prefix: str, found: dict[str, float], goal: float | None = None) -> list[Figure]:
    """Of all processes that a sample passes, and of each."""
    unit = "% of a core"
    whole = Figure(f"{prefix}telemetry_cpu_pct", sum(found.values()), unit, goal, "lower")
    return [
        whole,
        *(Figure(f"{prefix}{name}_process_pct", share, unit, None, "lower") for name, share in found.items()),
    ]


def say_watched(parts: Parts) -> None:
    """As a web process says it, for as long as the benchmark takes."""
    parts.redis.set(WATCHED, b"1", px=100 * KEPT_MS)


def rows(parts: Parts, seconds: float) -> list[Figure]:
    """What an agent-hour of history takes, by resolution."""
    found = parts.ask(KEPT)
    return [
        Figure(
            f"rollup_{resolution}s_{name}",
            value / (seconds * AGENTS) * 3600,
            f"{name} an agent-hour",
            None,
            "lower",
        )
        for resolution, (count, size) in found.items()
        for name, value in (("rows", count), ("bytes", size))
    ]


def read_off(parts: Parts, agents: list[int], over: Event) -> None:
    """What `runhost` adds to the stream."""
    while not over.wait(1.0):
        now = time.time()
        readings = [[pk, "bench", "coder", now, 200_000_000 + pk, 0.25, 0, 0, "bench"] for pk in agents]
        body = msgspec.msgpack.encode(readings)
        held = parts.redis.incrby("yard:samples:in", len(body))
        parts.redis.xadd("yard:samples", {"p": body, "n": held})


if __name__ == "__main__":
    main()
