"""The live region of the hosts page."""

from dataclasses import dataclass, field, replace
from datetime import datetime

from django.db.models import Count, Q
from django.template.loader import render_to_string

from apps.console import display, groups
from apps.console.agents.facts import Fact
from apps.console.hosts.builds import build_facts
from apps.console.hosts.meters import Meter, disk_meter, load_meter, memory_meter, pressure_meters
from apps.console.moment import Moment
from apps.console.regions import WINDOW_WORDS, Fragment, Region, View
from apps.console.tiles import Number
from apps.fleet.models import LIVE, UNSTARTED, Agent, Host
from apps.telemetry.domain.figures import GroupFigures


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
    links: list[Fact] = field(default_factory=list)


def hosts_list(view: View, moment: Moment) -> Fragment:
    counts, builds = counts_by_host(), build_facts(moment)
    snapshot, span = moment.snapshot(view.window), WINDOW_WORDS[view.window_word]
    cards = []
    for host in moment.hosts:
        figures = strip_of(groups.group_of(snapshot, "host", host.name), span)
        card = card_of(host, counts.get(host.pk, {}), moment.now, figures)
        cards.append(replace(card, links=builds.get(host.pk, [])))
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


REGIONS = (Region("hosts_list", hosts_list, ("window",), frozenset({"host", "agent", "telemetry", "build"})),)
