"""Whether a host can take one more agent: budgets against what memory and disk are left. Sizes in bytes."""

from dataclasses import dataclass

MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    memory_reserve: int
    min_free_disk: int
    max_memory_pressure: float  # PSI some avg10, percent


@dataclass(frozen=True, slots=True)
class Running:
    """An agent that runs or was let in: what it was promised and what it uses."""

    budget: int
    used: int


@dataclass(frozen=True, slots=True)
class Reading:
    memory_available: int
    memory_pressure: float | None
    disk_free: int


@dataclass(frozen=True, slots=True)
class Request:
    """What an agent asks for: memory by its budget, disk for its checkout."""

    memory: int
    disk: int = 0


@dataclass(frozen=True, slots=True)
class Admission:
    """How many of the requests, in order, may start; `waiting_for` says what the next one waits for."""

    count: int
    waiting_for: str = ""


def unclaimed_memory(reading: Reading, running: list[Running], limits: Limits) -> int:
    """Available memory less the reserve and what running agents may still grow by within their budgets."""
    promised = sum(max(0, agent.budget - agent.used) for agent in running)
    return reading.memory_available - limits.memory_reserve - promised


def admit(
    reading: Reading | None, running: list[Running], requests: list[Request], limits: Limits
) -> Admission:
    if not requests:
        return Admission(0)
    if reading is None:
        return Admission(0, "the host's first reading: is `runhost` running there?")
    if reading.memory_pressure is not None and reading.memory_pressure > limits.max_memory_pressure:
        pressure, limit = reading.memory_pressure, limits.max_memory_pressure
        return Admission(0, f"memory pressure is {pressure:.0f} %, nothing starts above {limit:.0f} %")
    memory = unclaimed_memory(reading, running, limits)
    disk = reading.disk_free - limits.min_free_disk
    for count, request in enumerate(requests):
        if request.memory > memory:
            return Admission(
                count, f"memory: {in_mb(request.memory)} wanted, {in_mb(max(0, memory))} left to promise"
            )
        if request.disk > disk or disk <= 0:
            return Admission(count, in_words(reading, limits))
        memory -= request.memory
        disk -= request.disk
    return Admission(len(requests))


def disk_shortage(reading: Reading | None, limits: Limits) -> str:
    """What a host lacks to take another checkout; "" when it has room, and when nothing is known of it yet."""
    if reading is None or reading.disk_free > limits.min_free_disk:
        return ""
    return in_words(reading, limits)


def in_words(reading: Reading, limits: Limits) -> str:
    return f"disk: {in_mb(reading.disk_free)} free, {in_mb(limits.min_free_disk)} are kept free"


def in_mb(size: int) -> str:
    return f"{size / MB:,.0f} MB".replace(",", "\u202f")
