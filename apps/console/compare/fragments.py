"""The live region that holds waves, roles, hosts or repositories against one another."""

from dataclasses import dataclass

from django.template.loader import render_to_string

from apps.console import groups, links
from apps.console.moment import Moment
from apps.console.regions import WINDOW_WORDS, Fragment, Region, View
from apps.console.tiles import Number
from apps.lib.text import plain_text
from apps.telemetry.domain.subjects import KINDS
from apps.telemetry.snapshot import Snapshot

DEFAULT = "wave"
WORDS = {
    "wave": ("Wave", "Waves"),
    "role": ("Role", "Roles"),
    "host": ("Host", "Hosts"),
    "repository": ("Repository", "Repositories"),
}
PAGES = {"host": links.HOSTS, "repository": links.REPOSITORIES}


@dataclass(frozen=True, slots=True)
class Line:
    """`history`: where its past is drawn."""

    name: str
    href: str
    history: str
    agents: int
    figures: list[Number]


def compare(view: View, moment: Moment) -> Fragment:
    kind = view.get("by") or DEFAULT
    snapshot = moment.snapshot(view.window)
    span = WINDOW_WORDS[view.window_word]
    lines = lines_of(snapshot, kind, span, moment.p95_target)
    context = {
        "view": view,
        "what": WORDS[kind][0],
        "kinds": [(key, WORDS[key][1], key == kind) for key in KINDS],
        "query": view.keep("window"),
        "lines": lines,
        "heads": groups.all_of(None, span, None),
        "whole": groups.all_of(snapshot.totals if snapshot else None, span, moment.p95_target),
        "agents": snapshot.totals.agents if snapshot else 0,
        "span": span,
    }
    return Fragment.simple(render_to_string("console/compare/region.html", context))


def lines_of(snapshot: Snapshot | None, kind: str, span: str, p95_target: float | None) -> list[Line]:
    """Those that did most first."""
    found = {
        subject.partition(":")[2]: figures
        for subject, figures in (snapshot.groups if snapshot else {}).items()
        if subject.startswith(f"{kind}:")
    }
    ranked = sorted(found, key=lambda name: (-found[name].operations, name))
    return [
        Line(
            plain_text(name, 80),
            links.wave(name) if kind == "wave" else PAGES.get(kind, ""),
            links.history_of(f"{kind}:{name}"),
            found[name].agents,
            groups.all_of(found[name], span, p95_target),
        )
        for name in ranked
    ]


REGIONS = (Region("compare", compare, ("window", "by"), frozenset({"telemetry"})),)
