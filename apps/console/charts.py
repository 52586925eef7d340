"""What the charts of a page draw, as data that the browser's script reads. Colours and axes are the script's."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.console.display import GB, MB
from apps.telemetry.agent_charts import AgentCharts
from apps.telemetry.history import History
from apps.telemetry.snapshot import Charts, Snapshot

MAX_SERIES = 4  # colours that the eye keeps apart; the rest is drawn as one
REST = "others"
NO_WAIT = "no lock wait in this span"


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart's place on a page. `key` names its data; `axis` is the unit as it stands at the axis."""

    key: str
    title: str
    unit: str
    axis: str


THROUGHPUT = Chart("throughput", "Throughput", "operations/s, by wave", "op/s")
LATENCY = Chart("latency", "Latency of operations", "ms, target dashed", "ms")
WAIT = Chart("wait", "Lock wait", "agent-seconds per second, by kind", "s/s")
MEMORY = Chart("memory", "Memory", "GB used by agents, admission limit dashed", "GB")
YARD_CHARTS = (THROUGHPUT, LATENCY, WAIT, MEMORY)
AGENT_CHARTS = (
    Chart("throughput", "Throughput", "operations/s", "op/s"),
    Chart("latency", "Latency", "ms, target dashed", "ms"),
    Chart("wait", "Lock wait", "seconds per second, by kind", "s/s"),
    Chart("memory", "Memory", "MB, budget dashed", "MB"),
)
HISTORY_CHARTS = (
    Chart("throughput", "Throughput", "operations/s", "op/s"),
    LATENCY,
    Chart("wait", "Lock wait", "agent-seconds per second", "s/s"),
    Chart("memory", "Memory", "GB, highest", "GB"),
)


def chart_data(snapshot: Snapshot | None, memory_limit: int | None, p95_target: float | None) -> str:
    """JSON for all charts of the yard; an empty time axis means that there is nothing to draw."""
    if snapshot is None:
        return json.dumps({"times": []})
    charts = snapshot.charts
    memory = [None if value is None else round(value / GB, 3) for value in charts.memory]
    return compact(
        {
            "times": [round(at, 1) for at in charts.times],
            "throughput": {"stacked": top_series(charts.throughput)},
            "latency": latency_lines(charts, p95_target),
            "wait": {"stacked": top_series(charts.wait), "empty": NO_WAIT},
            "memory": {"lines": {"agents": memory}, **limit_line(memory_limit)},
        }
    )


def agent_chart_data(charts: AgentCharts | None, budget_mb: int, p95_target: float | None) -> str:
    """JSON for the charts of one agent. None: nothing was published of it so far."""
    if charts is None:
        return compact({"times": [], "empty": "no data yet"})
    memory = [None if value is None else round(value / MB, 1) for value in charts.memory]
    return compact(
        {
            "times": charts.times,
            "throughput": {
                "lines": {"op/s": rounded(charts.throughput)},
                "empty": "no operations in this span",
            },
            "latency": {**latency_lines(charts, p95_target), "empty": "no operations in this span"},
            "wait": {"lines": top_series(charts.wait), "empty": NO_WAIT},
            "memory": {
                "lines": {"memory": memory},
                "target": budget_mb,
                "word": f"budget {budget_mb} MB",
                "empty": "no readings in this span",
            },
            "empty": "nothing heard in this span",
        }
    )


def history_data(history: History, p95_target: float | None) -> str:
    """JSON for the charts of any subject over a range of the past."""
    lines = history.lines
    wait = [None if ms is None else round(ms / (1000 * history.width), 6) for ms in lines["wait_ms"]]
    memory = [None if size is None else size / GB for size in lines["memory"]]
    latency = {name: rounded(lines[name]) for name in ("p50", "p95", "p99")}
    return compact(
        {
            "times": history.times,
            "throughput": {"lines": {"op/s": rounded(lines["throughput"])}},
            "latency": {"lines": latency} | target_line(p95_target),
            "wait": {"lines": {"lock wait": wait}, "empty": NO_WAIT},
            "memory": {"lines": {"memory": rounded(memory)}, "empty": "no readings in this span"},
            "empty": "nothing was recorded in this span",
        }
    )


def latency_lines(charts: Charts | AgentCharts, target: float | None) -> dict[str, Any]:
    lines = {name: rounded(getattr(charts, name)) for name in ("p50", "p95", "p99")}
    return {"lines": lines} | target_line(target)


def target_line(target: float | None) -> dict[str, Any]:
    return {} if target is None else {"target": target, "word": f"p95 target {target:g} ms"}


def limit_line(limit: int | None) -> dict[str, Any]:
    return {} if limit is None else {"target": round(limit / GB, 2), "word": f"limit {limit / GB:.1f} GB"}


def top_series(series: Mapping[str, Sequence[float | None]]) -> dict[str, list[float | None]]:
    """The largest series by name; what goes beyond the colours is summed up."""
    ranked = sorted(series, key=lambda name: -sum(value or 0.0 for value in series[name]))
    kept = ranked if len(ranked) <= MAX_SERIES else ranked[: MAX_SERIES - 1]
    found = {name or "none": rounded(series[name]) for name in sorted(kept)}
    rest = [series[name] for name in ranked[len(kept) :]]
    if rest:
        found[REST] = rounded([summed(values) for values in zip(*rest, strict=True)])
    return found


def summed(values: Iterable[float | None]) -> float | None:
    """None where there is no value at all: a gap stays one."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def rounded(values: Iterable[float | None]) -> list[float | None]:
    return [None if value is None else round(value, 3) for value in values]


def compact(data: dict[str, Any]) -> str:
    return json.dumps(data, separators=(",", ":"))
