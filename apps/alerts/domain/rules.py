"""Rules as data: when is a value too high or too low, for how long, and how bad is that?"""

from dataclasses import dataclass
from enum import StrEnum

from apps.alerts.domain.metrics import METRICS, Scope

LONGEST_FOR = 86_400  # seconds: a day
HIGHEST = 1e12


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return list(Severity).index(self)


class Comparison(StrEnum):
    ABOVE = "above"
    BELOW = "below"


class BadRule(ValueError):
    """A rule that can't be evaluated; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class RuleSpec:
    """It begins to hold when the value is beyond `threshold` for `for_seconds`, and is over when the value is back at
    `resolve_threshold` or better for as long. Between the two nothing changes: a value that swings around its threshold
    doesn't open an alert each time."""

    key: str
    title: str
    metric: str
    scope: str
    comparison: str
    threshold: float
    resolve_threshold: float
    for_seconds: int
    severity: str
    enabled: bool = True

    def is_beyond(self, value: float) -> bool:
        return value > self.threshold if self.comparison == Comparison.ABOVE else value < self.threshold

    def is_back(self, value: float) -> bool:
        if self.comparison == Comparison.ABOVE:
            return value <= self.resolve_threshold
        return value >= self.resolve_threshold

    def is_worse(self, value: float, than: float) -> bool:
        return value > than if self.comparison == Comparison.ABOVE else value < than


def check(rule: RuleSpec) -> None:
    """Raises BadRule."""
    metric = METRICS.get(rule.metric)
    if metric is None:
        raise BadRule(f"There is no metric “{rule.metric}”: it is one of {', '.join(METRICS)}.")
    if rule.scope not in metric.scopes:
        raise BadRule(
            f"{metric.title} has values by {', '.join(metric.scopes)}; there are none by “{rule.scope}”."
        )
    _choose(rule.comparison, Comparison, "comparison")
    _choose(rule.severity, Severity, "severity")
    for word, value in (("threshold", rule.threshold), ("resolve threshold", rule.resolve_threshold)):
        if not 0 <= value <= HIGHEST:  # no metric is ever below; NaN is neither
            raise BadRule(f"The {word} must be a number from 0 to {HIGHEST:.0e}.")
    if not 0 <= rule.for_seconds <= LONGEST_FOR:
        raise BadRule(f"The duration is from 0 to {LONGEST_FOR} seconds, which is a day.")
    if rule.is_beyond(rule.resolve_threshold):
        side, most = ("above", "most") if rule.comparison == Comparison.ABOVE else ("below", "least")
        raise BadRule(
            f"The resolve threshold {rule.resolve_threshold:g} lies {side} the threshold {rule.threshold:g}: the alert "
            f"would be over while the rule still holds. Take {rule.threshold:g} at {most}."
        )


def _choose(value: str, kind: type[StrEnum], word: str) -> None:
    if value not in list(kind):
        raise BadRule(f"“{value}” is no {word}: it is one of {', '.join(kind)}.")


def in_words(rule: RuleSpec) -> str:
    """As in "Latency p95 of the yard above 100 ms for 60 s; over at 90 ms or less for as long"."""
    metric = METRICS.get(rule.metric)
    if metric is None:
        return f"{rule.metric} {rule.comparison} {rule.threshold:g}"
    unit = f" {metric.unit}" if metric.unit else ""
    of = (
        "the yard"
        if rule.scope == Scope.YARD
        else f"{'an' if rule.scope == Scope.AGENT else 'a'} {rule.scope}"
    )
    less = "less" if rule.comparison == Comparison.ABOVE else "more"
    lasting = f" for {rule.for_seconds} s" if rule.for_seconds else ""
    return (
        f"{metric.title} of {of} {rule.comparison} {rule.threshold:g}{unit}{lasting}; "
        f"over at {rule.resolve_threshold:g}{unit} or {less}" + (" for as long" if lasting else "")
    )


_I, _W, _C = Severity.INFO, Severity.WARNING, Severity.CRITICAL
_ABOVE, _BELOW = Comparison.ABOVE, Comparison.BELOW
_YARD, _AGENT, _HOST, _WAVE = Scope.YARD, Scope.AGENT, Scope.HOST, Scope.WAVE

# The yard's own. Operators change most of it, or switch them off. Rules on ages have a duration too: a machine that
# was asleep, or a wave that was paused, gets a moment to be heard of again.
DEFAULTS: tuple[RuleSpec, ...] = (
    RuleSpec("slow", "Operations are slow", "latency_p95", _YARD, _ABOVE, 100, 90, 60, _W),
    RuleSpec("very-slow", "Some operations take very long", "latency_p99", _YARD, _ABOVE, 1000, 900, 60, _C),
    RuleSpec(
        "coordination",
        "Coordination takes much of the time",
        "coordination_overhead",
        _YARD,
        _ABOVE,
        15,
        13,
        60,
        _W,
    ),
    RuleSpec("uneven", "Work is spread unevenly", "distribution_variance", _YARD, _ABOVE, 0.3, 0.27, 300, _I),
    RuleSpec(
        "agent-memory", "An agent nears its memory budget", "memory_used", _AGENT, _ABOVE, 90, 85, 10, _C
    ),
    RuleSpec("host-memory", "A host runs out of memory", "memory_used", _HOST, _ABOVE, 90, 85, 10, _C),
    RuleSpec(
        "auto-resolution", "Many conflicts need a person", "auto_resolution", _YARD, _BELOW, 80, 85, 300, _W
    ),
    RuleSpec("errors", "Operations fail", "error_rate", _YARD, _ABOVE, 5, 4, 60, _W),
    RuleSpec("lock-wait", "Agents wait for locks", "lock_wait", _YARD, _ABOVE, 10, 8, 60, _W),
    RuleSpec("silent-agent", "An agent is silent", "output_age", _AGENT, _ABOVE, 600, 60, 60, _W),
    RuleSpec("lost-host", "A host gives no heartbeat", "heartbeat_age", _HOST, _ABOVE, 10, 5, 5, _C),
    RuleSpec("disk", "A disk is nearly full", "disk_used", _HOST, _ABOVE, 90, 88, 30, _C),
    RuleSpec("stuck-wave", "A wave is stuck", "step_age", _WAVE, _ABOVE, 600, 60, 60, _W),
)
