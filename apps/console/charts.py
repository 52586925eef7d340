"""What the charts of a page draw, as data that the browser's script reads. Colours and axes are the script's."""

import json
from dataclasses import dataclass
from typing import Any

from apps.console.agents.rows import LATENCY_TARGET_MS
from apps.console.display import GB
from apps.telemetry.snapshot import AgentFigures, Charts, Snapshot

MAX_SERIES = 4  # colours that the eye keeps apart; the rest is drawn as one
REST = "others"


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart's place on a page. `key` names its data."""

    key: str
    title: str
    unit: str


THROUGHPUT = Chart("throughput", "Throughput", "operations/s, by wave")
LATENCY = Chart("latency", "Latency of operations", "ms, target dashed")
WAIT = Chart("wait", "Lock wait", "agent-seconds per second, by kind")
MEMORY = Chart("memory", "Memory", "GB used by agents, admission limit dashed")
YARD_CHARTS = (THROUGHPUT, LATENCY, WAIT, MEMORY)


def chart_data(snapshot: Snapshot | None, memory_limit: int | None) -> str:
    """JSON for all charts of the yard; an empty time axis means that there is nothing to draw."""
    if snapshot is None:
        return json.dumps({"times": []})
    charts = snapshot.charts
    latency = {name: rounded(getattr(charts, name)) for name in ("p50", "p95", "p99")}
    memory = [None if value is None else round(value / GB, 3) for value in charts.memory]
    return compact(
        {
            "times": [round(at, 1) for at in charts.times],
            "throughput": {"stacked": top_series(charts.throughput)},
            "latency": {"lines": latency, "target": LATENCY_TARGET_MS, "word": "target 200 ms"},
            "wait": {"stacked": top_series(charts.wait)},
            "memory": {"lines": {"agents": memory}, **limit_line(memory_limit)},
        }
    )


def agent_chart_data(snapshot: Snapshot | None, figures: AgentFigures | None) -> str:
    """JSON for the charts of one agent: its operations over the window."""
    points = figures.sparkline if figures else []
    if snapshot is None or len(points) < 2:
        return json.dumps({"times": []})
    step = snapshot.window / len(points)
    times = [round(snapshot.at - snapshot.window + (index + 0.5) * step, 1) for index in range(len(points))]
    return compact({"times": times, "throughput": {"lines": {"op/s": rounded(points)}}})


def limit_line(limit: int | None) -> dict[str, Any]:
    return {} if limit is None else {"target": round(limit / GB, 2), "word": f"limit {limit / GB:.1f} GB"}


def top_series(series: dict[str, list[float]]) -> dict[str, list[float | None]]:
    """The largest series by name; what goes beyond the colours is summed up."""
    ranked = sorted(series, key=lambda name: -sum(series[name]))
    kept = ranked if len(ranked) <= MAX_SERIES else ranked[: MAX_SERIES - 1]
    found = {name or "none": rounded(series[name]) for name in sorted(kept)}
    rest = ranked[len(kept) :]
    if rest:
        found[REST] = rounded([sum(values) for values in zip(*(series[name] for name in rest), strict=False)])
    return found


def rounded(values: list[float] | list[float | None] | list[Any]) -> list[float | None]:
    return [None if value is None else round(value, 3) for value in values]


def compact(data: dict[str, Any]) -> str:
    return json.dumps(data, separators=(",", ":"))


def trend(charts: Charts) -> float | None:
    """Change of throughput from the first half of the window to the second, in percent; None without a base."""
    values = [sum(points) for points in zip(*charts.throughput.values(), strict=False)]
    half = len(values) // 2
    before, after = sum(values[:half]), sum(values[-half:]) if half else 0.0
    return (after / before - 1) * 100 if before > 0 else None
