"""Whether figures are renewed: told on pages that would else show old ones as if they were of now."""

from datetime import datetime, timedelta

from apps.telemetry.domain.window import WINDOWS
from apps.telemetry.snapshot import Snapshot

LATE = timedelta(seconds=10)  # beyond the time at which new figures were due


def late_since(snapshot: Snapshot | None, now: datetime) -> datetime | None:
    """When the figures were taken, if newer ones should be there by now. Those of a moment to come, from before a clock
    was put back, aren't renewed either."""
    if snapshot is None:
        return None
    at = datetime.fromtimestamp(snapshot.at, tz=now.tzinfo)
    due = timedelta(seconds=WINDOWS[snapshot.window].seldom) + LATE
    return at if abs(now - at) >= due else None
