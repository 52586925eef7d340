"""Compiler caches, one for each host: how often they are hit, what they hold, what they can't."""

from dataclasses import dataclass, field
from datetime import datetime

from django.template.loader import render_to_string

from apps.builds.models import CompilerCache
from apps.console import display, links
from apps.console.hosts.meters import Meter
from apps.console.moment import Moment
from apps.console.regions import Fragment, View
from apps.console.tiles import Number
from apps.fleet.readings import answers
from apps.lib.text import plain_text

MOST_REASONS = 12
HIT_TARGET = 0.8
FULL = 95  # percent of its limit: it forgets what it needs


@dataclass(frozen=True, slots=True)
class Card:
    pk: int
    host: str
    href: str
    problem: str
    version: str
    location: str
    looked_at: datetime
    is_silent: bool
    strip: list[Number] = field(default_factory=list)
    fill: Meter | None = None
    reasons: list[tuple[str, str]] = field(default_factory=list)
    more: int = 0


def build_caches(view: View, moment: Moment) -> Fragment:
    rows = CompilerCache.objects.select_related("host").order_by("host__name")
    context = {"view": view, "cards": [card_of(row, moment) for row in rows]}
    return Fragment.simple(render_to_string("console/builds/caches_cards.html", context))


def card_of(cache: CompilerCache, moment: Moment) -> Card:
    reasons = sorted(cache.reasons.items(), key=lambda each: -each[1])
    return Card(
        pk=cache.host_id,
        host=cache.host.name,
        href=links.HOSTS,
        problem=plain_text(cache.problem, 500),
        version=plain_text(cache.version, 40),
        location=plain_text(cache.location, 300),
        looked_at=cache.looked_at,
        is_silent=not answers(cache.host, moment.now),
        strip=strip_of(cache),
        fill=fill_of(cache),
        reasons=[(plain_text(why, 120), display.number(count)) for why, count in reasons[:MOST_REASONS]],
        more=max(0, len(reasons) - MOST_REASONS),
    )


def strip_of(cache: CompilerCache) -> list[Number]:
    ratio, asked = cache.hit_ratio, cache.hits + cache.misses
    error_tone = "high" if cache.errors else ""
    return [
        Number(
            "Hit rate",
            "",
            display.percent(None if ratio is None else 100 * ratio),
            "%",
            "target above 80 %" if ratio is not None else "nothing was asked for",
            "high" if ratio is not None and ratio < HIT_TARGET else "",
            "Hits of all compilations that it could hold",
        ),
        Number("Hits", "", display.number(cache.hits), "", f"of {display.number(asked)} asked for"),
        Number("Misses", "", display.number(cache.misses), "", "compiled and kept"),
        Number("Errors", "", display.number(cache.errors), "", "compiled all the same", error_tone),
    ]


def fill_of(cache: CompilerCache) -> Meter | None:
    if cache.size_bytes is None:
        return None
    if not cache.most_bytes:
        return Meter("Size", display.size_text(cache.size_bytes))
    share = display.share(cache.size_bytes, cache.most_bytes)
    text = f"{display.size_text(cache.size_bytes)} of {display.size_text(cache.most_bytes)}"
    return Meter("Size", text, share, "high" if share >= FULL else "")


def cache_words(cache: CompilerCache | None) -> str:
    """As in "87 % hits, 3.2 GB of 50 GB", or why there is none. Empty where its host never told."""
    if cache is None:
        return ""
    if cache.problem:
        return plain_text(f"none: {cache.problem}", 200)
    ratio, fill = cache.hit_ratio, fill_of(cache)
    hits = "not asked yet" if ratio is None else f"{display.percent(100 * ratio)} % hits"
    return f"{hits}, {fill.text}" if fill else hits
