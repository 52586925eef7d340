from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from django.http import HttpRequest
from ninja import Field, Query, Router, Schema
from ninja.errors import HttpError

from apps.lib.redis import RedisUnavailable
from apps.telemetry import stream_state
from apps.telemetry.domain.figures import GroupFigures
from apps.telemetry.domain.service_levels import levels
from apps.telemetry.service_levels import configured_targets
from apps.telemetry.snapshot import Snapshot

router = Router(tags=["service levels"])
figures = Router(tags=["figures"])

WINDOWS = {"1m": 60, "5m": 300, "1h": 3_600, "24h": 86_400}
Window = Literal["1m", "5m", "1h", "24h"]
Kind = Literal["wave", "role", "host", "repository"]
SUBJECT = r"^(?s:(wave|role|host|repository):.+)?$"
REDIS_SECONDS = 1.0
UNAVAILABLE = 503
NO_REDIS = "Redis doesn't answer, so there are no figures now: try again, and look at `manage.py doctor`."


class LevelOut(Schema):
    name: str
    title: str
    unit: str
    better: str
    target: float | None
    measured: float | None
    verdict: str


class LevelsOut(Schema):
    """`at`: when the figures were taken; none without figures. `problem`: why the operator's own targets don't hold."""

    window: str
    at: datetime | None
    problem: str
    levels: list[LevelOut]


@router.get(
    "", response=LevelsOut, summary="Service levels: target, measured, and met, missed, no data or no target"
)
def service_levels(request: HttpRequest, window: Window = "5m") -> Any:
    snapshot = newest(WINDOWS[window])
    targets, problem = configured_targets()
    found = levels(snapshot.totals if snapshot else None, targets)
    return {
        "window": window,
        "at": datetime.fromtimestamp(snapshot.at, tz=UTC) if snapshot else None,
        "problem": problem,
        "levels": [
            {
                "name": level.objective.key,
                "title": level.objective.title,
                "unit": level.objective.unit,
                "better": level.objective.better,
                "target": level.target,
                "measured": level.measured,
                "verdict": level.verdict,
            }
            for level in found
        ],
    }


def newest(window: int) -> Snapshot | None:
    """None before the first, and while Redis is away."""
    try:
        return stream_state.read(window, timeout=REDIS_SECONDS).snapshot
    except RedisUnavailable:
        return None


class GroupFiguresOut(Schema):
    """Of several agents together; `docs/reference/metrics.md` defines each. None: nothing was reported, which isn't
    zero."""

    agents: int = Field(description="that gave a sign of life in the window")
    operations: int
    errors: int = Field(description="not those that failed on purpose")
    induced: int = Field(description="failed on purpose")
    corrected: int = Field(description="counted at their arrival, as their agent's clock was off")
    kinds: dict[str, int] = Field(description="operations by kind")
    throughput: float = Field(description="operations/s")
    concurrency: float = Field(description="operations under way on average")
    mean: float | None = Field(description="ms")
    p50: float | None = Field(description="ms, right to 1 %, as all percentiles")
    p95: float | None = Field(description="ms")
    p99: float | None = Field(description="ms")
    max: float | None = Field(description="ms")
    wait_ms: float = Field(description="spent waiting for locks")
    wait_pct: float | None = Field(description="% of operation time")
    memory: int | None = Field(description="bytes; none without a reading of now")
    cpu: float | None = Field(description="cores; none without a reading of now")
    coordination_efficiency: float | None = Field(description="0 to 1")
    load_balance: float | None = Field(description="0 to 1")
    distribution_variance: float | None
    efficiency: float | None = Field(description="of one agent's throughput, times agents")


class YardFiguresOut(GroupFiguresOut):
    throughput_before: float | None = Field(description="operations/s of the period before the window")
    tokens: float | None = Field(description="measured in the window")
    cost_usd: float | None = Field(description="measured in the window")


class FiguresOut(Schema):
    window: str
    at: datetime | None = Field(description="when they were taken; none before the first")
    age_s: float | None = Field(
        description="seconds since then, by Redis' clock; growing: they aren't renewed"
    )
    yard: YardFiguresOut | None
    groups: dict[str, GroupFiguresOut] = Field(
        description="by subject, as in `wave:w12`: who did anything or gave a sign of life in the window; the 50 of "
        "each kind that did most, the rest as `wave:other` and so on"
    )


OneKind = Annotated[Kind | None, Query(description="only groups of this kind")]
OneSubject = Annotated[
    str, Query(pattern=SUBJECT, max_length=220, description="only this group, as in `wave:w12`")
]


@figures.get(
    "", response=FiguresOut, summary="Live figures of the yard, of waves, roles, hosts and repositories"
)
def show_figures(
    request: HttpRequest,
    window: Window = "5m",
    kind: OneKind = None,
    subject: OneSubject = "",
) -> Any:
    try:
        state = stream_state.read(WINDOWS[window], timeout=REDIS_SECONDS)
    except RedisUnavailable as error:
        raise HttpError(UNAVAILABLE, NO_REDIS) from error
    snapshot = state.snapshot
    groups = snapshot.groups if snapshot else {}
    return {
        "window": window,
        "at": datetime.fromtimestamp(snapshot.at, tz=UTC) if snapshot else None,
        "age_s": state.age,
        "yard": as_told(snapshot.totals) if snapshot else None,
        "groups": {
            name: as_told(found)
            for name, found in groups.items()
            if subject in ("", name) and (kind is None or name.startswith(f"{kind}:"))
        },
    }


def as_told(found: GroupFigures) -> dict[str, Any]:
    """A process that is there has memory: without any there was no reading, so neither of the two is known."""
    return msgspec.structs.asdict(found) | ({} if found.memory else {"memory": None, "cpu": None})
