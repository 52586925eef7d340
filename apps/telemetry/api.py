from datetime import UTC, datetime
from typing import Any, Literal

from django.http import HttpRequest
from ninja import Router, Schema

from apps.lib.redis import RedisUnavailable
from apps.telemetry import stream_state
from apps.telemetry.domain.service_levels import levels
from apps.telemetry.service_levels import configured_targets
from apps.telemetry.snapshot import Snapshot

router = Router(tags=["service levels"])

WINDOWS = {"1m": 60, "5m": 300, "1h": 3_600, "24h": 86_400}
REDIS_SECONDS = 1.0


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
def service_levels(request: HttpRequest, window: Literal["1m", "5m", "1h", "24h"] = "5m") -> Any:
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
