"""What a host does for builds: its slots, its compiler cache, its bases."""

from collections import Counter

from django.conf import settings
from django.db.models import Count

from apps.builds.domain.slots import is_short
from apps.builds.models import Base, BaseState, BuildState, CompilerCache
from apps.builds.queries import open_by_host
from apps.capacity.limits import configured_limits
from apps.console import display, links
from apps.console.agents.facts import Fact
from apps.console.builds.bases import SIGNS
from apps.console.builds.caches import cache_words
from apps.console.moment import Moment
from apps.fleet.models import Host


def build_facts(moment: Moment) -> dict[int, list[Fact]]:
    """By the host's number; only what it has told."""
    counts, bases = open_by_host(), bases_by_host()
    caches = {cache.host_id: cache for cache in CompilerCache.objects.all()}
    found = {}
    for host in moment.hosts:
        facts = [
            Fact(
                "Builds", builds_text(host, counts.get(host.pk, {}), moment), href=links.builds_on(host.name)
            ),
            Fact("Compiler cache", cache_words(caches.get(host.pk)), href=links.CACHES),
            Fact("Bases", bases_text(bases.get(host.pk, Counter())), href=links.BASES),
        ]
        found[host.pk] = [fact for fact in facts if fact.text]
    return found


def builds_text(host: Host, counts: dict[str, int], moment: Moment) -> str:
    """As in "2 under way, 1 waiting; 2 slots"; empty where a host never said how many slots it has."""
    slots = moment.build_slots.get(host.pk)
    if slots is None:
        return ""
    running, waiting = counts.get(BuildState.RUNNING, 0), counts.get(BuildState.WAITING, 0)
    text = f"{running} under way, {waiting} waiting; {display.plural(slots, 'slot')}"
    return f"{text}, {halved}" if (halved := why_halved(host)) else text


def why_halved(host: Host) -> str:
    """What the host does about memory that is short, as its process does it; empty while it isn't."""
    if host.memory_available is None:
        return ""
    short = is_short(
        pressure=host.memory_pressure,
        most_pressure=settings.MAX_MEMORY_PRESSURE,
        available=host.memory_available,
        least_available=configured_limits().memory_reserve,
    )
    return "halved while memory is short" if short else ""


def bases_by_host() -> dict[int, Counter[str]]:
    """How many are in each state."""
    found: dict[int, Counter[str]] = {}
    rows = Base.objects.order_by().values_list("host_id", "state").annotate(Count("pk"))
    for host, state, count in rows:
        found.setdefault(host, Counter())[state] = count
    return found


def bases_text(counts: Counter[str]) -> str:
    """As in "3 ready, 1 failed"."""
    return ", ".join(f"{counts[state]} {SIGNS[state][2]}" for state in reversed(BaseState) if counts[state])
