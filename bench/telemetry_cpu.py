"""What the telemetry path costs in everyday use, process by process, and what is kept of it: 100 agents that report 10
operations a second each, in four frames as the agents' client sends them, and a host that reads them once a second."""

import time
from threading import Event, Thread

import msgspec
from load import Load, Websocket
from parts import Parts
from report import Figure, machine, options, say, show

AGENTS, OPERATIONS, FRAMES = 100, 10, 4  # agents, and what each reports a second
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
    load = Load(Websocket(parts.gateway_port, [token for _, token in agents], [2, 3]), AGENTS)
    over = Event()
    reader = Thread(target=read_off, args=(parts, [pk for pk, _ in agents], over))
    reader.start()
    try:
        load.run(AGENTS * FRAMES, WARM_UP)
        say(f"{AGENTS} agents report; measuring {seconds:.0f} s")
        before, begun = parts.cpu(), time.monotonic()
        outcome = load.run(AGENTS * FRAMES, seconds)
        spent, passed = parts.cpu(), time.monotonic() - begun
    finally:
        over.set()
        reader.join()
        load.close()
    share = {name: 100 * (spent[name] - before[name]) / passed for name in spent}
    return [
        Figure("telemetry_cpu_pct", share["gateway"] + share["telemetry"], "% of a core", 10, "lower"),
        Figure("gateway_cpu_pct", share["gateway"], "% of a core", None, "lower"),
        Figure("telemetry_process_cpu_pct", share["telemetry"], "% of a core", None, "lower"),
        Figure("redis_cpu_pct", share["redis"], "% of a core", None, "lower"),
        Figure("telemetry_ack_p95_ms", outcome.p(0.95), "ms", 10, "lower"),
        Figure("telemetry_samples_per_s", outcome.acked * OPERATIONS / FRAMES / passed, "", None, "higher"),
        *rows(parts, WARM_UP + seconds),
    ]


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
