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
    host: str


def build_directories(view: View, moment: Moment) -> Fragment:
    rows = BuildDirectory.objects.select_related("host", "repository", "workspace__agent").defer(
        *(f"workspace__agent__{name}" for name in LONG_TEXTS)
    )
    shown = Paginator(rows.order_by(F("used_at").desc(nulls_last=True), "-pk")[:MOST], PAGE).get_page(
        view.page
    )
    context = {"view": view, "lines": [line_of(row) for row in shown], "page": shown, "query": view.keep()}
    return Fragment.simple(render_to_string("console/builds/directories_table.html", context))


def line_of(row: BuildDirectory) -> Line:
    agent = row.workspace.agent if row.workspace else None
    return Line(
        path=plain_text(row.path, 500),
        who=plain_text(agent.name, 80) if agent else display.NONE,
        who_href=links.agent(agent.pk) if agent else "",
        repository=row.repository.name if row.repository else "",
        tool=plain_text(row.tool, 20),
        parts=parts_text(row),
        size=size_text(row),
        shared=display.size_text(row.shared_bytes) if row.shared_bytes else "",
        sized_at=row.sized_at,
        created_at=row.created_at,
        used_at=row.used_at,
        builds=row.builds,
        warm=plain_text(row.warm_source, 200),
        host=row.host.name,
    )


def parts_text(row: BuildDirectory) -> str:
    """As in "toolchain stable, flags -Cdebuginfo=0"."""
    if not row.key:
        return "chosen by its user"
    parts = ", ".join(f"{name} {value}" for name, value in sorted(row.parts.items()) if value)
    return plain_text(parts, LONGEST_PARTS) or row.key


def size_text(row: BuildDirectory) -> str:
    """`–` where nobody has looked, or where it couldn't be told."""
    return display.size_text(row.size_bytes)
