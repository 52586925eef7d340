"""Who waited for whom, and when: a chart by kind of lock, and a table of pairs."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from django.template.loader import render_to_string

from apps.builds.domain.lock_waits import LockKind
from apps.builds.domain.waiting import Pair, Party, Wait, lines, pairs
from apps.builds.queries import MOST_WAITS, waits_since
from apps.console import links
from apps.console.builds.rows import NOBODY, kind_word, took_text
from apps.console.charts import Chart, compact, top_series
from apps.console.moment import Moment
from apps.console.regions import WINDOW_WORDS, WINDOWS, Fragment, View
from apps.console.spending.renewed import Renewed
from apps.lib.text import plain_text

BARS = 60
MOST_PAIRS = 50
NO_BUILD = "a process that is no build"
WAITS = Chart("waits", "Lock wait", "seconds waited per second, by kind", "s/s")


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look at the waits of a span found. `edges`: unix seconds between which the bars lie."""

    edges: tuple[float, ...]
    lines: dict[str, list[float]]
    pairs: Sequence[Pair]
    is_cut: bool


def look_up(window: int) -> Seen:
    edges = edges_of(window, time.time())
    waits: Sequence[Wait] = waits_since(datetime.fromtimestamp(edges[0], UTC))
    return Seen(edges, lines(waits, edges), pairs(waits), len(waits) >= MOST_WAITS)


def edges_of(window: int, now: float) -> tuple[float, ...]:
    """Whole multiples of a bar's width, so that bars stay where they are while time goes on."""
    width = window / BARS
    last = (now // width + 1) * width
    return tuple(last - width * (BARS - place) for place in range(BARS + 1))


# By span, for all who look; looking at all waits of a day isn't for each push.
seen = {window: Renewed(partial(look_up, window)) for window in WINDOWS.values()}


def build_wait_chart(view: View, moment: Moment) -> Fragment:
    data = chart_data(seen[view.window].recent())
    return Fragment.simple(render_to_string("console/charts_data.html", {"view": view, "data": data}))


def chart_data(found: Seen) -> str:
    width = found.edges[1] - found.edges[0]
    series = {kind_word(kind): [seconds / width for seconds in line] for kind, line in found.lines.items()}
    return compact(
        {
            "times": [round(edge + width / 2, 2) for edge in found.edges[:-1]],
            "from": round(found.edges[0], 2),
            "to": round(found.edges[-1], 2),
            "waits": {"stacked": top_series(series), "bars": True, "empty": "no lock wait in this span"},
        }
    )


@dataclass(frozen=True, slots=True)
class Line:
    waiter: str
    waiter_href: str
    holder: str
    holder_href: str
    kind: str
    count: int
    total: str
    longest: str
    tone: str


def build_wait_pairs(view: View, moment: Moment) -> Fragment:
    found = seen[view.window].recent()
    context = {
        "view": view,
        "lines": [line_of(pair) for pair in found.pairs[:MOST_PAIRS]],
        "more": max(0, len(found.pairs) - MOST_PAIRS),
        "is_cut": found.is_cut,
        "most": MOST_WAITS,
        "span": WINDOW_WORDS[view.window_word],
    }
    return Fragment.simple(render_to_string("console/builds/pairs.html", context))


def line_of(pair: Pair) -> Line:
    return Line(
        *named(pair.waiter),
        *named(pair.holder),
        kind=kind_word(pair.kind),
        count=pair.count,
        total=took_text(pair.ms / 1000),
        longest=took_text(pair.longest_ms / 1000),
        tone="bad" if pair.kind == LockKind.BUILD_DIRECTORY else "",
    )


def named(party: Party) -> tuple[str, str]:
    """Its name, and its builds where it is an agent of the yard."""
    if party.is_known:
        href = links.builds_of_agent(party.agent) if party.agent is not None else ""
        return plain_text(party.name, 80) or NOBODY, href
    return (NO_BUILD if party.pid else NOBODY), ""
