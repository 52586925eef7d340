"""How evenly work is spread over agents, and what many do against what one does alone."""

import statistics
from collections import Counter
from collections.abc import Collection, Iterable

from apps.telemetry.domain.series import SPAN, TEN, Series
from apps.telemetry.domain.signs import Signs

ALONE_SECONDS = 60  # less of one agent alone is no measurement


def variation(operations: Collection[int]) -> float | None:
    """The coefficient of variation (standard deviation / mean) of operations per active agent; None for fewer than
    two."""
    if len(operations) < 2:
        return None
    return statistics.pstdev(operations) / statistics.fmean(operations)


def load_balance(operations: Collection[int]) -> float | None:
    """max(0, 1 - coefficient of variation) of operations per active agent; None for fewer than two."""
    varied = variation(operations)
    return None if varied is None else max(0.0, 1.0 - varied)


def one_agent_throughput(agents: Iterable[tuple[Series, Signs]], now: float) -> float | None:
    """Operations per second while exactly one agent was heard of: in stretches of 10 s of the last hour, or where
    these are less than ALONE_SECONDS together, in stretches of 300 s of the last day. None where there are none."""
    known = list(agents)
    for step in (TEN, SPAN):
        counts: Counter[int] = Counter()
        for _, signs in known:
            counts.update(signs.starts(step))
        alone = {start for start, heard in counts.items() if heard == 1 and start + step <= now}
        if len(alone) * step >= ALONE_SECONDS:
            return _operations_in(alone, known, step) / (len(alone) * step)
    return None


def _operations_in(stretches: set[int], agents: Iterable[tuple[Series, Signs]], step: int) -> int:
    """Only one agent has any in each of them."""
    oldest = min(stretches)
    return sum(
        tally.operations
        for series, _ in agents
        for at, tally in series.since(step, oldest)
        if at in stretches
    )


def efficiency(throughput: float, agents: float, alone: float | None) -> float | None:
    """Throughput against that of as many agents who each work as one does alone. None where that isn't known."""
    return throughput / (agents * alone) if alone and agents else None
