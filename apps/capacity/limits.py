from django.conf import settings

from apps.capacity.domain.admission import MB, Limits


def configured_limits() -> Limits:
    return Limits(
        memory_reserve=settings.MEMORY_RESERVE_MB * MB,
        min_free_disk=settings.MIN_FREE_DISK_MB * MB,
        max_memory_pressure=settings.MAX_MEMORY_PRESSURE,
    )


def log_bytes() -> int:
    """The most that the output of one start of an agent takes: two segments are kept."""
    return 2 * settings.AGENT_LOG_SEGMENT_BYTES
