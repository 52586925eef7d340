"""The live region of the service levels: what the yard should hold, and whether it does."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from django.template.loader import render_to_string

from apps.console import display, links
from apps.console.freshness import late_since
from apps.console.moment import Moment
from apps.console.regions import WINDOW_WORDS, Fragment, Region, View
from apps.telemetry.domain.service_levels import SHARE, Level, Objective, Verdict, levels

PERCENT = 100

SIGNS = {
    Verdict.MET: ("✓", "good"),
    Verdict.MISSED: ("✕", "bad"),
    Verdict.NO_DATA: ("○", "quiet"),
    Verdict.NO_TARGET: ("·", "quiet"),
}
# The page where the agents behind a level are.
BEHIND = {
    **dict.fromkeys(("p50_ms", "p95_ms", "p99_ms", "max_ms"), links.agents_by("p95")),
    "scaling_efficiency": links.agents_by("throughput"),
    "load_balance": links.agents_by("throughput"),
}


@dataclass(frozen=True, slots=True)
class Line:
    """A level as it is shown. `why`: what is to know about a level without data."""

    title: str
    definition: str
    href: str
    target: str
    measured: str
    unit: str
    sign: str
    tone: str
    word: str
    why: str


def service_levels(view: View, moment: Moment) -> Fragment:
    snapshot = moment.snapshot(view.window)
    targets, problem = moment.targets
    found = levels(snapshot.totals if snapshot else None, targets)
    context = {
        "view": view,
        "lines": [line_of(level, has_figures=snapshot is not None) for level in found],
        "summary": summary(found),
        "span": WINDOW_WORDS[view.window_word],
        "problem": problem,
        "late_since": late_since(snapshot, moment.now),
    }
    return Fragment.simple(render_to_string("console/service_levels/region.html", context))


def line_of(level: Level, *, has_figures: bool) -> Line:
    objective = level.objective
    sign, tone = SIGNS[level.verdict]
    is_share = objective.largest == SHARE
    return Line(
        title=objective.title,
        definition=objective.definition,
        href=BEHIND.get(objective.key, ""),
        target=target_text(level),
        measured=written(objective, level.measured),
        unit="%" if is_share else objective.unit,
        sign=sign,
        tone=tone,
        word=level.verdict,
        why=why_no_data(objective, has_figures=has_figures) if level.verdict == Verdict.NO_DATA else "",
    )


def target_text(level: Level) -> str:
    if level.target is None:
        return "none"
    return f"{'below' if level.objective.better == 'lower' else 'at least'} {written(level.objective, level.target)}"


def written(objective: Objective, value: float | None) -> str:
    if objective.largest == SHARE:
        return display.percent(None if value is None else value * PERCENT)
    if value is None or objective.unit == "ms":
        return display.milliseconds(value)
    return display.number(value, 0 if value >= PERCENT else 2)


def why_no_data(objective: Objective, *, has_figures: bool) -> str:
    if objective.measure is None:
        return "nothing in the yard measures it yet"
    return "not in this span" if has_figures else "the telemetry process published nothing yet"


def summary(found: Sequence[Level]) -> str:
    counts = Counter(level.verdict for level in found)
    judged = counts[Verdict.MET] + counts[Verdict.MISSED]
    if not judged:
        return "No data to judge by"
    missed = f"{display.number(counts[Verdict.MISSED])} missed" if counts[Verdict.MISSED] else "none missed"
    return f"{display.number(counts[Verdict.MET])} of {display.number(judged)} met, {missed}"


REGIONS = (Region("service_levels", service_levels, ("window",), frozenset({"telemetry"})),)
