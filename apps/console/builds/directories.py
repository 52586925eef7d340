"""Build directories as a table: whose, what for, how large, how old."""

from dataclasses import dataclass
from datetime import datetime

from django.core.paginator import Paginator
from django.db.models import F
from django.template.loader import render_to_string

from apps.builds.models import BuildDirectory
from apps.console import display, links
from apps.console.moment import LONG_TEXTS, Moment
from apps.console.regions import Fragment, View
from apps.lib.text import plain_text

PAGE = 50
MOST = 5_000
LONGEST_PARTS = 160
OF_A_BASE = "/builds/bases/"  # in paths of those in which bases are built, on any host


@dataclass(frozen=True, slots=True)
class Line:
    path: str
    who: str
    who_href: str
    repository: str
    tool: str
    parts: str
    size: str
    shared: str
    sized_at: datetime | None
    created_at: datetime
    used_at: datetime | None
    builds: int
    warm: str
    warm_tone: str
    host: str


def build_directories(view: View, moment: Moment) -> Fragment:
    rows = BuildDirectory.objects.all()
    if view.get("repository"):
        rows = rows.filter(repository__name=view.get("repository"))
    rows = rows.select_related("host", "repository", "workspace__agent").defer(
        *(f"workspace__agent__{name}" for name in LONG_TEXTS)
    )
    shown = Paginator(rows.order_by(F("used_at").desc(nulls_last=True), "-pk")[:MOST], PAGE).get_page(
        view.page
    )
    context = {
        "view": view,
        "lines": [line_of(row) for row in shown],
        "page": shown,
        "repository": view.get("repository"),
        "query": view.keep("repository"),
    }
    return Fragment.simple(render_to_string("console/builds/directories_table.html", context))


def line_of(row: BuildDirectory) -> Line:
    who, who_href = owner_of(row)
    warm, warm_tone = warmth_of(row)
    return Line(
        path=plain_text(row.path, 500),
        who=who,
        who_href=who_href,
        repository=row.repository.name if row.repository else "",
        tool=plain_text(row.tool, 20),
        parts=parts_text(row),
        size=size_text(row),
        shared=display.size_text(row.shared_bytes) if row.shared_bytes else "",
        sized_at=row.sized_at,
        created_at=row.created_at,
        used_at=row.used_at,
        builds=row.builds,
        warm=warm,
        warm_tone=warm_tone,
        host=row.host.name,
    )


def owner_of(row: BuildDirectory) -> tuple[str, str]:
    """The agent, or the base that it is built for, and its page."""
    agent = row.workspace.agent if row.workspace else None
    if agent is not None:
        return plain_text(agent.name, 80), links.agent(agent.pk)
    if row.repository is not None and OF_A_BASE in row.path:
        return "the base", links.BASES
    return ("an agent that is gone" if row.repository else display.NONE), ""


def warmth_of(row: BuildDirectory) -> tuple[str, str]:
    """What it was made from. One that was made by its first build had nothing in it."""
    if row.warm_source:
        return plain_text(row.warm_source, 200), ""
    return (display.NONE if not row.key or OF_A_BASE in row.path else "cold"), "quiet"


def parts_text(row: BuildDirectory) -> str:
    """As in "toolchain stable, flags -Cdebuginfo=0"."""
    if not row.key:
        return "chosen by its user"
    parts = ", ".join(f"{name} {value}" for name, value in sorted(row.parts.items()) if value)
    return plain_text(parts, LONGEST_PARTS) or row.key


def size_text(row: BuildDirectory) -> str:
    """`–` where nobody has looked, or where it couldn't be told."""
    return display.size_text(row.size_bytes)
