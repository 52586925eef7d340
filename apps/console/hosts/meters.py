"""What a host has and uses, as bars."""

from dataclasses import dataclass

from apps.capacity.limits import configured_limits
from apps.console import display
from apps.fleet.models import Host

# Percent of 10 s in which something waited. Agents that build keep CPUs busy; memory is what admission looks at.
PRESSURE_HIGH = {"Memory": 20.0, "CPU": 80.0, "I/O": 50.0}
DISK_HIGH = 90  # percent used


@dataclass(frozen=True, slots=True)
class Meter:
    """A share of something. `share` is percent for the bar, None where there is no whole to compare with."""

    word: str
    text: str
    share: int | None = None
    tone: str = ""


def load_meter(host: Host) -> Meter:
    if host.load_1 is None:
        return Meter("Load", display.NONE)
    return Meter(
        "Load",
        f"{host.load_1:.1f} over 1 min",
        display.share(host.load_1, host.usable_cpus or host.logical_cpus),
    )


def memory_meter(host: Host) -> Meter:
    if host.memory_total is None or host.memory_available is None:
        return Meter("Memory", display.NONE)
    used = host.memory_total - host.memory_available
    share = display.share(used, host.memory_total)
    reserve = configured_limits().memory_reserve
    tone = "high" if host.memory_available <= reserve else ""
    text = f"{display.size_text(used)} of {display.size_text(host.memory_total)}, "
    text += f"{display.size_text(reserve)} kept free"
    return Meter("Memory", text, share, tone)


def disk_meter(host: Host) -> Meter:
    if host.disk_total is None or host.disk_free is None:
        return Meter("Disk", display.NONE)
    share = display.share(host.disk_total - host.disk_free, host.disk_total)
    low = share >= DISK_HIGH or host.disk_free <= configured_limits().min_free_disk
    text = f"{display.size_text(host.disk_free)} free of {display.size_text(host.disk_total)}"
    return Meter("Disk", text, share, "high" if low else "")


def pressure_meters(host: Host) -> list[Meter]:
    pairs = (("Memory", host.memory_pressure), ("CPU", host.cpu_pressure), ("I/O", host.io_pressure))
    return [pressure_meter(word, value) for word, value in pairs]


def pressure_meter(word: str, value: float | None) -> Meter:
    if value is None:
        return Meter(f"{word} pressure", "not offered by its kernel")
    tone = "high" if value >= PRESSURE_HIGH[word] else ""
    return Meter(f"{word} pressure", f"{value:.1f} % of 10 s", display.share(value, 100.0), tone)
