"""What the yard should hold, and whether it does: targets against what was measured in a window."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from apps.telemetry.domain.figures import Totals

Measure = Callable[[Totals], float | None]
Targets = Mapping[str, float | None]  # by key; None: no target

SHARE = 1.0
LARGEST = 1e9


class TargetsError(ValueError):
    """Targets that can't be used as they are written. The message says what to change."""


class Verdict(StrEnum):
    MET = "met"
    MISSED = "missed"
    NO_DATA = "no data"
    NO_TARGET = "no target"


@dataclass(frozen=True, slots=True)
class Objective:
    """`key` names it in the operator's file. `better`: which way of the target is well. `target`: unless the operator
    has another; None for none. `measure`: None while nothing in the yard measures it. `largest`: that makes sense."""

    key: str
    title: str
    unit: str
    better: Literal["lower", "higher"]
    target: float | None
    definition: str
    measure: Measure | None = None
    largest: float = LARGEST

    def is_met_by(self, measured: float, target: float) -> bool:
        return measured < target if self.better == "lower" else measured >= target


@dataclass(frozen=True, slots=True)
class Level:
    objective: Objective
    target: float | None
    measured: float | None
    verdict: Verdict


OBJECTIVES = (
    Objective(
        "p50_ms",
        "Latency p50",
        "ms",
        "lower",
        50.0,
        "Half of all operations are faster",
        lambda totals: totals.p50,
    ),
    Objective(
        "p95_ms", "Latency p95", "ms", "lower", 200.0, "95 of 100 are faster", lambda totals: totals.p95
    ),
    Objective(
        "p99_ms", "Latency p99", "ms", "lower", 500.0, "99 of 100 are faster", lambda totals: totals.p99
    ),
    Objective(
        "max_ms", "Latency max", "ms", "lower", 2000.0, "The slowest operation", lambda totals: totals.max
    ),
    Objective(
        "commits_per_s", "Commits", "commits/s", "higher", 200.0, "Commits that batches land; 500 is the aim"
    ),
    Objective(
        "auto_resolution",
        "Auto-resolution",
        "",
        "higher",
        0.85,
        "Conflicting changes that land without a person, over all conflicting changes that ended",
        largest=SHARE,
    ),
    Objective(
        "scaling_efficiency",
        "Scaling efficiency",
        "",
        "higher",
        None,
        "Throughput over agents times the throughput of one agent",
        lambda totals: totals.efficiency,
    ),
    Objective(
        "coordination_efficiency",
        "Coordination efficiency",
        "",
        "higher",
        0.85,
        "1 less the share of operation time that is spent on coordination",
        lambda totals: totals.coordination_efficiency,
        largest=SHARE,
    ),
    Objective(
        "load_balance",
        "Load balance",
        "",
        "higher",
        0.7,
        "1 less the coefficient of variation of operations per agent, at least 0",
        lambda totals: totals.load_balance,
        largest=SHARE,
    ),
)
BY_KEY = {objective.key: objective for objective in OBJECTIVES}
DEFAULTS: Targets = {objective.key: objective.target for objective in OBJECTIVES}


def levels(totals: Totals | None, targets: Targets = DEFAULTS) -> list[Level]:
    """One for each objective, in their order. `totals`: of the window; None where there are no figures."""
    return [level(objective, totals, targets[objective.key]) for objective in OBJECTIVES]


def level(objective: Objective, totals: Totals | None, target: float | None) -> Level:
    measured = objective.measure(totals) if objective.measure and totals is not None else None
    return Level(objective, target, measured, verdict(objective, measured, target))


def verdict(objective: Objective, measured: float | None, target: float | None) -> Verdict:
    if measured is None:
        return Verdict.NO_DATA
    if target is None:
        return Verdict.NO_TARGET
    return Verdict.MET if objective.is_met_by(measured, target) else Verdict.MISSED


def targets_of(mapping: Mapping[str, Any]) -> Targets:
    """What an operator wrote, over the defaults; `false` takes a target away. Raises TargetsError."""
    if unknown := sorted(set(mapping) - set(BY_KEY)):
        raise TargetsError(f"there is no service level {unknown[0]!r}; known are {', '.join(BY_KEY)}")
    return {**DEFAULTS, **{key: target_of(BY_KEY[key], value) for key, value in mapping.items()}}


def target_of(objective: Objective, value: Any) -> float | None:
    if value is False:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= objective.largest:
        wanted = f"a number above 0 and up to {objective.largest:g}, or `false` for no target"
        raise TargetsError(f"{objective.key} = {repr(value)[:40]} must be {wanted}")
    return float(value)
