"""The shape of a snapshot. `docs/reference/metrics.md` defines each figure and its unit."""

import msgspec


class Figures(msgspec.Struct, kw_only=True):
    operations: int
    errors: int
    induced: int
    throughput: float
    mean: float | None
    p50: float | None
    p95: float | None
    p99: float | None
    max: float | None
    wait_ms: float
    wait_pct: float | None
    memory: int
    cpu: float
    corrected: int = 0
    concurrency: float = 0.0
    coordination_efficiency: float | None = None
    kinds: dict[str, int] = {}


class AgentFigures(Figures, kw_only=True):
    sparkline: list[float]
    last_at: float | None
    measures: dict[str, float] = {}


class GroupFigures(Figures, kw_only=True):
    """Of several agents together."""

    agents: int = 0
    load_balance: float | None = None
    distribution_variance: float | None = None
    efficiency: float | None = None


class Totals(GroupFigures, kw_only=True):
    throughput_before: float | None = None
    tokens: float | None = None
    cost_usd: float | None = None


class Charts(msgspec.Struct, kw_only=True):
    """All lists are as long as `times`, which holds the start of each point."""

    times: list[float]
    throughput: dict[str, list[float]]
    p50: list[float | None]
    p95: list[float | None]
    p99: list[float | None]
    wait: dict[str, list[float]]
    memory: list[float | None]


class Count(msgspec.Struct, array_like=True, gc=False):
    operations: int = 0
    errors: int = 0
    induced: int = 0


class Counts(msgspec.Struct, kw_only=True):
    """What a window holds up to `at`. Whole numbers that stand in place of a snapshot's, not on top of them."""

    at: float
    totals: Count
    agents: dict[int, Count]


class AgentCharts(msgspec.Struct, kw_only=True):
    """Lines of one agent, as long as `times`. None: nothing was heard of it, which isn't the same as 0."""

    agent: int
    window: int
    at: float
    times: list[float]
    throughput: list[float | None]
    p50: list[float | None]
    p95: list[float | None]
    p99: list[float | None]
    wait: dict[str, list[float | None]]
    memory: list[float | None]


class Snapshot(msgspec.Struct, kw_only=True):
    """`groups` by subject, as in `wave:w12`."""

    window: int
    at: float
    tick: int
    totals: Totals
    agents: dict[int, AgentFigures]
    charts: Charts
    groups: dict[str, GroupFigures] = {}
