"""How healthy something is that sends heartbeats, by the age of the last one."""

from enum import StrEnum

DEGRADED_AFTER = 2.0
CRITICAL_AFTER = 5.0
FAILED_AFTER = 10.0


class Health(StrEnum):
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    CRITICAL = "critical"
    FAILED = "failed"
    UNKNOWN = "unknown"


def health_of(age: float | None) -> Health:
    """`age` in seconds since the last heartbeat; None when there was none."""
    if age is None:
        return Health.UNKNOWN
    if age >= FAILED_AFTER:
        return Health.FAILED
    if age >= CRITICAL_AFTER:
        return Health.CRITICAL
    return Health.DEGRADED if age >= DEGRADED_AFTER else Health.HEALTHY
