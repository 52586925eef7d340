"""Bases: what new agents of a repository start from on a host, and how their last builds went."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Max, QuerySet
from django.template.loader import render_to_string

from apps.builds.base_actions import UNDER_WAY
from apps.builds.models import Base, BaseState, BuildDirectory
from apps.console import display, links
from apps.console.moment import Moment
from apps.console.regions import Fragment, View
from apps.fleet.readings import answers
from apps.lib.text import plain_text

MOST = 200
SHORT = 12  # characters of a commit
SIGNS = {
    BaseState.NONE: ("○", "quiet", "to be built anew"),
    BaseState.QUEUED: ("◔", "warn", "queued"),
    BaseState.BUILDING: ("◑", "good", "is built now"),
    BaseState.READY: ("●", "good", "ready"),
    BaseState.FAILED: ("✕", "bad", "failed"),
}
FROM_A_BASE = "base at "  # begins the warm source of a build directory that was made from one


@dataclass(frozen=True, slots=True)
class Line:
    """`behind`: where the target branch stands, if elsewhere."""

    pk: int
    repository: str
    repository_href: str
    host: str
    sign: str
    tone: str
    state: str
    state_at: datetime
    note: str
    problem: str
    commit: str
    behind: str
    built_at: datetime | None
    took: str
    size: str
    modes: str
    seeded: int
    seeded_href: str
    seeded_at: datetime | None
    can_build: bool


@dataclass(frozen=True, slots=True)
class Seeded:
    """How many agents began with build directories from a base, and when the last one did."""

    agents: int = 0
    last: datetime | None = None


def build_bases(view: View, moment: Moment) -> Fragment:
    context = {"view": view, "lines": base_lines(moment, Base.objects.all())}
    return Fragment.simple(render_to_string("console/builds/bases_table.html", context))


def base_lines(moment: Moment, bases: QuerySet[Base]) -> list[Line]:
    rows = list(bases.select_related("repository", "host").order_by("repository__name", "host__name")[:MOST])
    seeded = seeded_from()
    return [line_of(base, seeded.get((base.repository_id, base.host_id), Seeded()), moment) for base in rows]


def seeded_from() -> dict[tuple[int | None, int], Seeded]:
    """By repository and host."""
    rows = BuildDirectory.objects.filter(warm_source__startswith=FROM_A_BASE).order_by()
    counts = rows.values_list("repository_id", "host_id").annotate(
        Count("workspace", distinct=True), Max("created_at")
    )
    return {(repository, host): Seeded(agents, last) for repository, host, agents, last in counts}


def line_of(base: Base, seeded: Seeded, moment: Moment) -> Line:
    sign, tone, word = SIGNS[BaseState(base.state)]
    return Line(
        pk=base.pk,
        repository=base.repository.name,
        repository_href=links.repository(base.repository_id),
        host=base.host.name,
        sign=sign,
        tone=tone,
        state=word,
        state_at=base.state_at,
        note=note_of(base, moment),
        problem=plain_text(base.problem, 500) if base.state == BaseState.FAILED else "",
        commit=base.commit[:SHORT],
        behind=base.wanted[:SHORT] if base.commit and base.wanted != base.commit else "",
        built_at=base.built_at,
        took=display.duration(base.seconds),
        size=display.size_text(base.size_bytes),
        modes="\n".join(str(mode) for mode in base.modes),
        seeded=seeded.agents,
        seeded_href=links.directories_of_repository(base.repository.name),
        seeded_at=seeded.last,
        can_build=base.state not in UNDER_WAY,
    )


def note_of(base: Base, moment: Moment) -> str:
    if not answers(base.host, moment.now):
        return "its host doesn't answer"
    if base.state == BaseState.READY and not base.same_path:
        return "dependencies only: not built at the path where agents see theirs"
    return ""
