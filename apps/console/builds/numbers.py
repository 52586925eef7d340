"""The numbers above the builds: who builds now, and how long builds took and waited in the span."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from apps.builds.domain.lock_waits import LockKind
from apps.builds.models import BuildState
from apps.builds.queries import BuildFilter, builds_of, ongoing_waits, times_of, waited_by_kind
from apps.console import display, links
from apps.console.builds.rows import KINDS, took_text
from apps.console.builds.selection import FILTER, chosen_by
from apps.console.moment import Moment
from apps.console.regions import WINDOW_WORDS, View
from apps.console.tiles import Number

MOST_OPEN = 10_000
SHOWN = (LockKind.BUILD_DIRECTORY, LockKind.PACKAGE_CACHE, LockKind.SLOT)
MEANS = {
    LockKind.BUILD_DIRECTORY: (
        "What all builds together waited for another that used their build directory. The goal is 0"
    ),
    LockKind.PACKAGE_CACHE: "What all builds together waited for cargo's shared store of downloaded packages",
    LockKind.SLOT: "What all builds together waited because the host ran as many as it has slots for",
}
BUILD_TIME = "From its slot to its end, of builds that were asked for in the span and passed or failed"


def numbers_of(view: View, moment: Moment) -> list[Number]:
    chosen = chosen_by(view, with_state=False)
    since = moment.now - timedelta(seconds=view.window)
    span = f"in {WINDOW_WORDS[view.window_word]}"
    count = builds_of(chosen).filter(asked_at__gte=since).count()
    return [
        *now_numbers(view, moment),
        Number("Builds", "", display.number(count), "", f"asked for {span}"),
        *time_numbers(sorted(times_of(chosen, since)), span),
        *wait_numbers(waited(chosen, since, moment), span, knows=count > 0, query=view),
    ]


def waited(chosen: BuildFilter, since: datetime, moment: Moment) -> dict[str, float]:
    """Milliseconds by kind, with what goes on so far."""
    found = waited_by_kind(chosen, since)
    going_on = ongoing_waits(chosen, moment.answering_hosts).filter(began_at__gte=since)
    for kind, began_at in going_on.values_list("kind", "began_at"):
        so_far = (moment.now - began_at).total_seconds() * 1000
        found[kind] = found.get(kind, 0.0) + max(0.0, so_far)
    return found


def now_numbers(view: View, moment: Moment) -> list[Number]:
    chosen = chosen_by(view, with_state=False)
    states = list(builds_of(chosen).open().order_by().values_list("state", flat=True)[:MOST_OPEN])
    running, waiting = states.count(BuildState.RUNNING), states.count(BuildState.WAITING)
    slots = sum(moment.build_slots.get(host.pk, 0) for host in moment.hosts if chosen.host in ("", host.name))
    note = f"of {display.plural(slots, 'slot')}" if slots else "slots not told yet"
    return [
        Number("Under way", listed(view, "running"), display.number(running), "", note),
        Number(
            "Wait for a slot",
            listed(view, "waiting"),
            display.number(waiting),
            "",
            "now",
            "high" if waiting else "",
        ),
    ]


def listed(view: View, state: str) -> str:
    """The list of those that are counted."""
    query = view.keep("window", *FILTER)
    query["state"] = state
    return f"{links.BUILDS}?{query.urlencode()}"


def time_numbers(times: Sequence[float], span: str) -> list[Number]:
    """`times` in order."""
    note = f"{display.plural(len(times), 'build')} {span}" if times else "no build ended"
    return [
        Number("Build time p50", "", took_text(percentile(times, 0.5)), "", note, means=BUILD_TIME),
        Number("Build time p95", "", took_text(percentile(times, 0.95)), "", note, means=BUILD_TIME),
    ]


def wait_numbers(waited: dict[str, float], span: str, *, knows: bool, query: View) -> list[Number]:
    """Without a build in the span there is nothing to know."""
    href = f"{links.BUILD_WAITS}?window={query.window_word}"
    found = []
    rest = sum(ms for kind, ms in waited.items() if kind not in SHOWN)
    for kind in SHOWN:
        ms = waited.get(kind, 0.0)
        tone = "bad" if kind == LockKind.BUILD_DIRECTORY and ms else "high" if ms else ""
        text = took_text(ms / 1000) if knows or ms else display.NONE
        note = f"waited {span}" if knows or ms else "no build"
        found.append(Number(KINDS[kind].capitalize(), href, text, "", note, tone, MEANS[kind]))
    if rest:
        found.append(Number("Other locks", href, took_text(rest / 1000), "", f"waited {span}", "high"))
    return found


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """The nearest rank; None of nothing."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None
