"""From tallies to the figures of a window."""

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from apps.telemetry.domain import spread
from apps.telemetry.domain.figures import Figures, GroupFigures
from apps.telemetry.domain.subjects import KINDS, Labels
from apps.telemetry.domain.tally import OTHER, Tally

MAX_SUBJECTS = 50  # of a kind: a snapshot stays small


class Member(NamedTuple):
    """One agent in a window. `present`: for how much of it the agent was heard of, 0 to 1."""

    labels: Labels
    whole: Tally
    memory: int
    cpu: float
    present: float


def figures(tally: Tally, seconds: float, *, memory: int, cpu: float) -> Figures:
    return Figures(**values(tally, seconds), memory=memory, cpu=cpu)


def group_figures(members: Iterable[Member], seconds: float, alone: float | None) -> GroupFigures:
    """Of a set of agents: their sketches are merged, percentiles never averaged. `alone`: one-agent throughput."""
    known = list(members)
    whole = Tally()
    for member in known:
        whole.merge_work(member.whole)
    return joint_figures(whole, known, seconds, alone)


def joint_figures(whole: Tally, members: list[Member], seconds: float, alone: float | None) -> GroupFigures:
    """The same, where it is known already what they did together."""
    operations = [member.whole.operations for member in members if member.whole.operations]
    return GroupFigures(
        **values(whole, seconds),
        memory=sum(member.memory for member in members),
        cpu=sum(member.cpu for member in members),
        agents=len(members),
        load_balance=spread.load_balance(operations),
        distribution_variance=spread.variation(operations),
        efficiency=spread.efficiency(
            whole.operations / seconds, sum(member.present for member in members), alone
        ),
    )


def all_groups(members: Collection[Member], seconds: float, alone: float | None) -> dict[str, GroupFigures]:
    """By subject. Where two are the same agents, as a wave and its repository often are, they are merged once."""
    known: dict[tuple[int, ...], GroupFigures] = {}
    found = {}
    for subject, together in by_subject(members).items():
        who = tuple(id(member) for member in together)
        if who not in known:
            known[who] = group_figures(together, seconds, alone)
        found[subject] = known[who]
    return found


def by_subject(members: Iterable[Member]) -> dict[str, list[Member]]:
    """Agents by wave, role, host and repository: the MAX_SUBJECTS of each kind that did most, and the rest as one."""
    found: dict[str, dict[str, list[Member]]] = {kind: {} for kind in KINDS}
    for member in members:
        for kind, name in zip(KINDS, member.labels, strict=True):
            if name:
                found[kind].setdefault(name, []).append(member)
    return {f"{kind}:{name}": together for kind in KINDS for name, together in _largest(found[kind]).items()}


def _largest(groups: dict[str, list[Member]]) -> dict[str, list[Member]]:
    if len(groups) <= MAX_SUBJECTS:
        return groups
    ranked = sorted(groups, key=lambda name: (-sum(one.whole.operations for one in groups[name]), name))
    kept = {name: groups[name] for name in ranked[:MAX_SUBJECTS]}
    rest = [member for name in ranked[MAX_SUBJECTS:] for member in groups[name]]
    return {**kept, OTHER: [*kept.get(OTHER, []), *rest]}


def values(tally: Tally, seconds: float) -> dict[str, Any]:
    """What follows from a tally alone, by the names of Figures."""
    p50, p95, p99 = tally.sketch.quantiles(0.5, 0.95, 0.99)
    return {
        "operations": tally.operations,
        "errors": tally.errors,
        "induced": tally.induced,
        "corrected": tally.corrected,
        "throughput": tally.operations / seconds,
        "mean": tally.duration_ms / tally.operations if tally.operations else None,
        "p50": p50,
        "p95": p95,
        "p99": p99,
        "max": tally.max_ms if tally.operations else None,
        "wait_ms": tally.wait_ms,
        "wait_pct": 100 * tally.wait_ms / tally.duration_ms if tally.duration_ms else None,
        "concurrency": tally.duration_ms / (1000 * seconds),
        "coordination_efficiency": coordination_efficiency(tally),
        "kinds": dict(tally.kinds or {}),
    }


def coordination_efficiency(tally: Tally) -> float | None:
    """1 - time in coordination operations / time in all; None where none was reported: nobody may be measuring."""
    if tally.coordination_ms is None or not tally.duration_ms:
        return None
    return 1.0 - tally.coordination_ms / tally.duration_ms
