"""What rules can look at: each metric with its unit, and the scopes in which it has values."""

from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    AGENT = "agent"
    WAVE = "wave"
    HOST = "host"
    YARD = "yard"


@dataclass(frozen=True, slots=True)
class Metric:
    """`has_producer`: False while nothing measures it. A rule on it exists then, and shows "no data"."""

    key: str
    title: str
    unit: str
    scopes: tuple[Scope, ...]
    has_producer: bool = True


_WORKING = (Scope.YARD, Scope.WAVE, Scope.HOST, Scope.AGENT)
_TOGETHER = (Scope.YARD, Scope.WAVE, Scope.HOST)

METRICS: dict[str, Metric] = {
    metric.key: metric
    for metric in (
        Metric("latency_p95", "Latency p95", "ms", _WORKING),
        Metric("latency_p99", "Latency p99", "ms", _WORKING),
        Metric("error_rate", "Errors", "%", _WORKING),
        Metric("lock_wait", "Lock wait", "%", _WORKING),
        Metric("distribution_variance", "Distribution variance", "", _TOGETHER),
        Metric("coordination_overhead", "Coordination overhead", "%", _WORKING),
        Metric("auto_resolution", "Auto-resolution", "%", (Scope.YARD,), has_producer=False),
        Metric("memory_used", "Memory", "%", (Scope.AGENT, Scope.HOST)),
        Metric("disk_used", "Disk", "%", (Scope.HOST,)),
        Metric("heartbeat_age", "Age of the heartbeat", "s", (Scope.HOST,)),
        Metric("output_age", "Silence", "s", (Scope.AGENT,)),
        Metric("step_age", "Time since the last step", "s", (Scope.WAVE,)),
    )
}
