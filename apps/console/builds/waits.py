"""Who waited for whom, and when: a chart by kind of lock, and a table of pairs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from django.template.loader import render_to_string

from apps.builds.domain.lock_waits import LockKind
from apps.builds.domain.waiting import Pair, Party, Wait, lines, matrix, pairs
from apps.builds.queries import MOST_WAITS, waits_since, waits_so_far
from apps.console import display, links
from apps.console.builds.rows import NOBODY, kind_word, took_text
from apps.console.charts import Chart, compact, top_series
from apps.console.moment import Moment
from apps.console.regions import WINDOW_WORDS, WINDOWS, Fragment, View
from apps.console.spending.renewed import Renewed
from apps.lib.text import plain_text

BARS = 60
MOST_PAIRS = 25
MATRIX = 10  # waiters and holders that have a row or column of their own
LEAST_MATRIX = 3  # pairs: fewer are told better by the table
OTHERS = "all others"
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
    now = datetime.now(UTC)
    edges = edges_of(window, now.timestamp())
    over: Sequence[Wait] = waits_since(datetime.fromtimestamp(edges[0], UTC))
    waits = [*over, *waits_so_far(Moment(now).answering_hosts, now)]
    return Seen(edges, lines(waits, edges), pairs(waits), len(over) >= MOST_WAITS)


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
    share: int


@dataclass(frozen=True, slots=True)
class Cell:
    """`heat`: 0 to 100, of the pair that waited longest; `title` names both and the time."""

    text: str
    heat: int
    title: str


def build_wait_pairs(view: View, moment: Moment) -> Fragment:
    found = seen[view.window].recent()
    longest = found.pairs[0].ms if found.pairs else 0.0
    context = {
        "view": view,
        "matrix": matrix_of(found.pairs) if len(found.pairs) >= LEAST_MATRIX else None,
        "lines": [line_of(pair, longest) for pair in found.pairs[:MOST_PAIRS]],
        "more": max(0, len(found.pairs) - MOST_PAIRS),
        "is_cut": found.is_cut,
        "most": MOST_WAITS,
        "span": WINDOW_WORDS[view.window_word],
    }
    return Fragment.simple(render_to_string("console/builds/pairs.html", context))


def matrix_of(found: Sequence[Pair]) -> dict[str, object]:
    """Heads of columns, and rows: who waited, and a cell for each column."""
    table = matrix(found, MATRIX)
    holders = [short_name(party).replace("/", "/\u200b") for party in table.holders]  # may break there
    rows = [
        (
            short_name(waiter),
            [cell_of(waiter, holder, ms, table.most) for holder, ms in zip(table.holders, row, strict=True)],
        )
        for waiter, row in zip(table.waiters, table.ms, strict=True)
    ]
    return {"holders": holders, "rows": rows}


def cell_of(waiter: Party | None, holder: Party | None, ms: float, most: float) -> Cell:
    if not ms:
        return Cell("", 0, "")
    title = f"{short_name(waiter)} waited {took_text(ms / 1000)} for {short_name(holder)}"
    heat = 0 if waiter is None or holder is None else display.share(ms, most)
    return Cell(took_text(ms / 1000), heat, title)


def short_name(party: Party | None) -> str:
    return OTHERS if party is None else named(party)[0]


def line_of(pair: Pair, longest: float) -> Line:
    return Line(
        *named(pair.waiter),
        *named(pair.holder),
        kind=kind_word(pair.kind),
        count=pair.count,
        total=took_text(pair.ms / 1000),
        longest=took_text(pair.longest_ms / 1000),
        tone="bad" if pair.kind == LockKind.BUILD_DIRECTORY else "",
        share=display.share(pair.ms, longest),
    )


def named(party: Party) -> tuple[str, str]:
    """Its name, and its builds where it is an agent of the yard."""
    if party.is_known:
        href = links.builds_of_agent(party.agent) if party.agent is not None else ""
        return plain_text(party.name, 80) or NOBODY, href
    return (NO_BUILD if party.pid else NOBODY), ""
