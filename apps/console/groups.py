"""Figures of several agents together, as tiles: each says what it means to who asks."""

from apps.console import display
from apps.console.agents.rows import HIGH_WAIT_PCT, is_met
from apps.console.tiles import Number
from apps.telemetry.domain.figures import GroupFigures
from apps.telemetry.snapshot import Snapshot

HIGH_ERROR_PCT = 5.0
HIGH_OVERHEAD_PCT = 15.0
LOW_BALANCE = 0.7
NONE_REPORTED = "none reported"

THROUGHPUT = "Operations that ended, a second"
LATENCY = "95 of 100 operations were faster"
LOCK_WAIT = "Time spent waiting for locks, of all operation time"
ERRORS = "Operations that failed, of all; without those that failed on purpose"
CONCURRENCY = "How many operations were under way on average: the sum of their durations over the time"
COORDINATION = "Time spent on coordination (operations of the kind coordination.*), of all operation time"
BALANCE = (
    "1 less the variation of operations over the agents that had any: 1 means that all did as much. Variation is the "
    "standard deviation over the mean"
)
SCALING = (
    "Throughput over agents times the throughput of one agent: 1 means that each of many works as fast as one alone. "
    "Known once an agent worked alone for a minute"
)


def group_of(snapshot: Snapshot | None, kind: str, name: str) -> GroupFigures | None:
    """Of a wave, role, host or repository; None where none of its agents was heard of in the window."""
    return snapshot.groups.get(f"{kind}:{name}") if snapshot else None


def all_of(group: GroupFigures | None, span: str, p95_target: float | None) -> list[Number]:
    """In the order of attention: what was done, what went wrong with it, how well it was done together."""
    return [
        throughput(group, span),
        latency(group, p95_target),
        lock_wait(group),
        errors(group),
        concurrency(group),
        coordination(group),
        balance(group),
        scaling(group),
    ]


def throughput(group: GroupFigures | None, span: str) -> Number:
    if group is None or not group.operations:
        return Number("Throughput", "", display.NONE, "op/s", NONE_REPORTED, means=THROUGHPUT)
    note = f"{display.number(group.operations)} in {span}"
    return Number("Throughput", "", display.rate(group.throughput), "op/s", note, means=THROUGHPUT)


def latency(group: GroupFigures | None, target: float | None) -> Number:
    p95 = group.p95 if group else None
    note = NONE_REPORTED if group is None or p95 is None else f"mean {display.milliseconds(group.mean)}"
    tone = "" if is_met(p95, target) else "bad"
    return Number("Latency p95", "", display.milliseconds(p95), "ms", note, tone, LATENCY)


def lock_wait(group: GroupFigures | None) -> Number:
    share = group.wait_pct if group else None
    note = NONE_REPORTED if share is None else "of operation time"
    tone = "high" if share is not None and share >= HIGH_WAIT_PCT else ""
    return Number("Lock wait", "", display.percent(share), "%", note, tone, LOCK_WAIT)


def errors(group: GroupFigures | None) -> Number:
    share = error_pct(group)
    note = NONE_REPORTED if group is None or share is None else f"{display.number(group.errors)} failed"
    tone = "bad" if share is not None and share > HIGH_ERROR_PCT else ""
    return Number("Errors", "", display.percent(share), "%", note, tone, ERRORS)


def error_pct(group: GroupFigures | None) -> float | None:
    return group.errors / group.operations * 100 if group and group.operations else None


def concurrency(group: GroupFigures | None) -> Number:
    if group is None or not group.operations:
        return Number("Concurrency", "", display.NONE, "", NONE_REPORTED, means=CONCURRENCY)
    note = f"of {display.plural(group.agents, 'agent')}"
    return Number("Concurrency", "", display.number(group.concurrency, 1), "", note, means=CONCURRENCY)


def overhead_pct(group: GroupFigures | None) -> float | None:
    if group is None or group.coordination_efficiency is None:
        return None
    return (1 - group.coordination_efficiency) * 100


def coordination(group: GroupFigures | None) -> Number:
    share = overhead_pct(group)
    note = NONE_REPORTED if share is None else f"efficiency {display.percent(100 - share)}{display.NARROW}%"
    tone = "bad" if share is not None and share > HIGH_OVERHEAD_PCT else ""
    return Number("Coordination", "", display.percent(share), "%", note, tone, COORDINATION)


def balance(group: GroupFigures | None) -> Number:
    even = group.load_balance if group else None
    if group is None or even is None:
        return Number("Load balance", "", display.NONE, "", "not known yet", means=BALANCE)
    note = f"variation {display.number(group.distribution_variance, 2)}"
    tone = "high" if even < LOW_BALANCE else ""
    return Number("Load balance", "", display.number(even, 2), "", note, tone, BALANCE)


def scaling(group: GroupFigures | None) -> Number:
    efficiency = group.efficiency if group else None
    note = "not known yet" if efficiency is None else "of one agent's speed"
    return Number("Scaling", "", display.number(efficiency, 2), "", note, means=SCALING)
