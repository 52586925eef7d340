"""Whether a host can take one more agent: budgets against what memory and disk are left. Sizes in bytes."""

from collections.abc import Sequence
from dataclasses import dataclass

MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    memory_reserve: int
    min_free_disk: int
    max_memory_pressure: float  # PSI some avg10, percent


@dataclass(frozen=True, slots=True)
class Running:
    """An agent that runs, was let in or is being prepared: the memory that it was promised and that it uses, and the
    disk that it may still fill."""

    budget: int
    used: int
    disk: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    memory_available: int
    memory_pressure: float | None
    disk_free: int


@dataclass(frozen=True, slots=True)
class Request:
    """What an agent asks for: memory by its budget, disk for what it and its preparation will write."""

    memory: int
    disk: int = 0


@dataclass(frozen=True, slots=True)
class Admission:
    """How many of the requests, in order, may start; `waiting_for` says what the next one waits for."""

    count: int
    waiting_for: str = ""


def unclaimed_memory(reading: Reading, running: Sequence[Running], limits: Limits) -> int:
    """Available memory less the reserve and what running agents may still grow by within their budgets."""
    promised = sum(max(0, agent.budget - agent.used) for agent in running)
    return reading.memory_available - limits.memory_reserve - promised


def unclaimed_disk(reading: Reading, running: Sequence[Running], limits: Limits) -> int:
    """Free disk less what is kept free and what running agents may still fill."""
    return reading.disk_free - limits.min_free_disk - sum(agent.disk for agent in running)


def admit(
    reading: Reading | None, running: Sequence[Running], requests: Sequence[Request], limits: Limits
) -> Admission:
    if not requests:
        return Admission(0)
    if reading is None:
        return Admission(0, "the host's first reading: is `runhost` running there?")
    if reading.memory_pressure is not None and reading.memory_pressure > limits.max_memory_pressure:
        pressure, limit = reading.memory_pressure, limits.max_memory_pressure
        return Admission(0, f"memory pressure is {pressure:.0f} %, nothing starts above {limit:.0f} %")
    memory = unclaimed_memory(reading, running, limits)
    disk = unclaimed_disk(reading, running, limits)
    for count, request in enumerate(requests):
        if request.memory > memory:
            return Admission(count, f"memory: {wanted(request.memory, memory)}")
        if shortage := disk_shortage(request.disk, disk, reading, limits):
            return Admission(count, shortage)
        memory -= request.memory
        disk -= request.disk
    return Admission(len(requests))


def admit_checkouts(
    reading: Reading | None, running: Sequence[Running], sizes: Sequence[int], limits: Limits
) -> Admission:
    """How many agents, in order, may be prepared: by disk alone, as far as that is known."""
    if reading is None:
        return Admission(len(sizes))
    disk = unclaimed_disk(reading, running, limits)
    for count, size in enumerate(sizes):
        if shortage := disk_shortage(size, disk, reading, limits):
            return Admission(count, shortage)
        disk -= size
    return Admission(len(sizes))


def disk_shortage(size: int, unclaimed: int, reading: Reading, limits: Limits) -> str:
    """What a host lacks to take `size` more on its disk; "" when it has the room."""
    if reading.disk_free <= limits.min_free_disk:
        return f"disk: {in_mb(reading.disk_free)} free, {in_mb(limits.min_free_disk)} are kept free"
    if size > unclaimed or unclaimed <= 0:
        return f"disk: {wanted(size, unclaimed)}, {in_mb(limits.min_free_disk)} are kept free"
    return ""


def wanted(size: int, unclaimed: int) -> str:
    return f"{in_mb(size)} wanted, {in_mb(max(0, unclaimed))} left to promise"


def in_mb(size: int) -> str:
    return f"{size / MB:,.0f} MB".replace(",", "\u202f")
