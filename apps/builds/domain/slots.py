"""How many builds may run at once on a host."""

import math


def slots(*, configured: int, usable_cpus: float | None, memory_is_short: bool) -> int:
    """At least one. `configured`: 0 for as many as there are cores. Memory that is short halves them: compilers of
    several builds at once are what fills it."""
    wanted = configured or max(1, math.floor(usable_cpus or 1))
    return max(1, wanted // 2) if memory_is_short else wanted


def is_short(*, pressure: float | None, most_pressure: float, available: int, least_available: int) -> bool:
    """Pressures in percent, None where the kernel tells none; memory in bytes."""
    return available < least_available or (pressure is not None and pressure > most_pressure)
