"""Who waits now: for a lock of a file, and for whom, or for a slot of their host."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Min
from django.template.loader import render_to_string

from apps.builds.domain.lock_waits import LockKind
from apps.builds.models import OPEN, Build, BuildState, LockWait, OngoingWait
from apps.builds.queries import builds_of, ongoing_waits
from apps.console import display, links
from apps.console.builds.rows import WaitNow, kind_word, lock_tone, what_of, who_of
from apps.console.builds.selection import chosen_by
from apps.console.builds.timeline import Holder, holder_of
from apps.console.moment import LONG_TEXTS, Moment
from apps.console.regions import Fragment, View
from apps.lib.text import plain_text

SHOWN = 25
MOST = 1_000


@dataclass(frozen=True, slots=True)
class Line:
    """`since`: when the wait began; of several, the first."""

    who: str
    who_href: str
    what: str
    href: str
    kind: str
    tone: str
    holder: Holder
    path: str
    since: datetime


def builds_waiting(view: View, moment: Moment) -> Fragment:
    lines = [*lock_lines(view, moment), *slot_lines(view, moment)]
    context = {"view": view, "lines": lines[:SHOWN], "more": max(0, len(lines) - SHOWN)}
    return Fragment.simple(render_to_string("console/builds/now.html", context))


def lock_lines(view: View, moment: Moment) -> list[Line]:
    """Those who wait for a build directory first, as nobody should; then by how long. What a host that is silent said
    last isn't of now."""
    waits = ongoing_waits(chosen_by(view), moment.answering_hosts)[:MOST]
    found = [
        Line(
            who=plain_text(who_of(wait.build), 80),
            who_href=links.agent(wait.build.agent_id) if wait.build.agent_id else "",
            what=what_of(wait.build),
            href=links.build(wait.build_id),
            kind=kind_word(wait.kind),
            tone=lock_tone(wait.kind),
            holder=holder_of(wait),
            path=plain_text(wait.path, 300),
            since=wait.began_at,
        )
        for wait in waits
    ]
    return sorted(found, key=lambda line: line.tone != "bad")


def going_on(builds: Collection[Build], moment: Moment) -> dict[int, WaitNow]:
    """By the number of each of these builds that waits for a lock of a file now: its longest wait."""
    open_ones = [build.pk for build in builds if build.state in OPEN]
    waits = OngoingWait.objects.filter(build__in=open_ones, build__host__in=moment.answering_hosts)
    rows = waits.order_by("-began_at").values_list("build_id", "kind", "began_at")
    return {build: WaitNow(kind, since) for build, kind, since in rows}


def so_far(build: Build, moment: Moment) -> list[LockWait]:
    """Its waits that go on, as if they ended now."""
    if build.state not in OPEN or build.host_id not in moment.answering_hosts:
        return []
    long = (f"holder__agent__{name}" for name in LONG_TEXTS)
    waits = build.waits_now.select_related("holder__agent").defer(*long)
    return [
        LockWait(
            build=build,
            kind=wait.kind,
            path=wait.path,
            holder=wait.holder,
            holder_pid=wait.holder_pid,
            began_at=wait.began_at,
            ms=max(0.0, (moment.now - wait.began_at).total_seconds() * 1000),
        )
        for wait in waits
    ]


def slot_lines(view: View, moment: Moment) -> list[Line]:
    """One for each host: these are in the list of builds, and that some wait is how slots work."""
    waiting = builds_of(chosen_by(view)).filter(state=BuildState.WAITING).order_by("host__name")
    rows = waiting.values_list("host__name", "host_id").annotate(count=Count("pk"), since=Min("asked_at"))
    return [
        Line(
            who=display.plural(count, "build"),
            who_href=f"{links.builds_on(host)}&state=waiting",
            what="the first of them" if count > 1 else "",
            href="",
            kind=kind_word(LockKind.SLOT),
            tone="",
            holder=slots_of(host, moment.build_slots.get(pk)),
            path="",
            since=since,
        )
        for host, pk, count, since in rows[:SHOWN]
    ]


def slots_of(host: str, slots: int | None) -> Holder:
    """All that run there hold it up together."""
    word = f"all {display.plural(slots, 'slot')} of {host}" if slots else f"the builds of {host}"
    return Holder(word, f"{links.builds_on(host)}&state=running")
