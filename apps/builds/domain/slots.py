"""How many builds may run at once on a host."""

import math


def slots(
    *, configured: int, usable_cpus: float | None, memory_pressure: float | None, most_pressure: float
) -> int:
    """At least one. `configured`: 0 for as many as there are cores. Memory that is short halves them: compilers of
    several builds at once are what fills it. Pressures in percent."""
    wanted = configured or max(1, math.floor(usable_cpus or 1))
    if memory_pressure is not None and memory_pressure > most_pressure:
        return max(1, wanted // 2)
    return wanted
