"""The live region of the hosts page."""

from dataclasses import dataclass, field, replace
from datetime import datetime

from django.db.models import Count, Q
from django.template.loader import render_to_string

from apps.builds.models import BuildState
from apps.builds.queries import open_by_host
from apps.capacity.limits import configured_limits
from apps.console import display, groups, links
from apps.console.moment import Moment
from apps.console.regions import WINDOW_WORDS, Fragment, Region, View
from apps.console.tiles import Number
from apps.fleet.models import LIVE, UNSTARTED, Agent, Host
from apps.telemetry.domain.figures import GroupFigures

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


@dataclass(frozen=True, slots=True)
class Card:
    host: Host
    sign: str
    tone: str
    health: str
    cpus: str
    meters: list[Meter] = field(default_factory=list)
    agents: list[tuple[str, int]] = field(default_factory=list)
    programs: str = ""
    presets_problem: str = ""
    strip: list[Number] = field(default_factory=list)
    builds: str = ""
    builds_href: str = ""


def hosts_list(view: View, moment: Moment) -> Fragment:
    counts, builds = counts_by_host(), builds_by_host(moment.build_slots)
    snapshot, span = moment.snapshot(view.window), WINDOW_WORDS[view.window_word]
    cards = []
    for host in moment.hosts:
        figures = strip_of(groups.group_of(snapshot, "host", host.name), span)
        card = card_of(host, counts.get(host.pk, {}), moment.now, figures)
        cards.append(replace(card, builds=builds.get(host.pk, ""), builds_href=links.builds_on(host.name)))
    context = {"view": view, "cards": cards, "span": span}
    return Fragment.simple(render_to_string("console/hosts/region.html", context))


def strip_of(group: GroupFigures | None, span: str) -> list[Number]:
    """Of the agents that were heard of from there; empty where none was."""
    if group is None:
        return []
    return [
        groups.throughput(group, span),
        groups.lock_wait(group),
        groups.errors(group),
        groups.coordination(group),
    ]


def counts_by_host() -> dict[int, dict[str, int]]:
    live, to_start = (Count("pk", filter=Q(state__in=states)) for states in (LIVE, UNSTARTED))
    rows = Agent.objects.order_by().values_list("host_id").annotate(live=live, to_start=to_start)
    return {host: {"live": live, "to start": to_start} for host, live, to_start in rows}


def builds_by_host(slots: dict[int, int]) -> dict[int, str]:
    """As in "2 under way, 1 waits; 2 slots"; no entry where a host never said how many slots it has."""
    counts = open_by_host()
    return {
        host: f"{counts.get(host, {}).get(BuildState.RUNNING, 0)} under way, "
        f"{counts.get(host, {}).get(BuildState.WAITING, 0)} waiting; {display.plural(count, 'slot')}"
        for host, count in slots.items()
    }


def card_of(host: Host, counts: dict[str, int], now: datetime, figures: list[Number]) -> Card:
    health = host.health(now)
    sign, tone = display.HEALTH_SIGNS[health]
    return Card(
        host=host,
        sign=sign,
        tone=tone,
        health=str(health),
        cpus=cpu_text(host),
        meters=[load_meter(host), memory_meter(host), disk_meter(host), *pressure_meters(host)],
        agents=[(word, counts.get(word, 0)) for word in ("live", "to start")],
        programs=programs_text((host.equipment or {}).get("programs", {})),
        presets_problem=(host.equipment or {}).get("presets_problem", ""),
        strip=figures,
    )


def programs_text(programs: dict[str, str]) -> str:
    """As in "codex, drill; not installed: aider"; "" while the host hasn't said."""
    there = sorted(name for name, path in programs.items() if path)
    missing = sorted(name for name, path in programs.items() if not path)
    parts = [", ".join(there) if there else "", f"not installed: {', '.join(missing)}" if missing else ""]
    return "; ".join(part for part in parts if part)


def cpu_text(host: Host) -> str:
    """As in "8 logical CPUs on 4 cores, 6 usable": the last part only where an affinity or quota takes some away."""
    if not host.logical_cpus:
        return "not reported yet"
    text = f"{host.logical_cpus} logical CPUs"
    if host.physical_cpus:
        text += f" on {display.plural(host.physical_cpus, 'core')}"
    if host.usable_cpus is not None and host.usable_cpus < host.logical_cpus:
        text += f", {host.usable_cpus:g} usable"
    return text


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


REGIONS = (Region("hosts_list", hosts_list, ("window",), frozenset({"host", "agent", "telemetry", "build"})),)
