"""The live regions of one repository's page: what it is, and what is done for its builds."""

from dataclasses import dataclass

from django.db.models import Count, Q
from django.http import Http404
from django.template.loader import render_to_string

from apps.builds.models import Base, BuildOptions, Scheme
from apps.builds.option_states import OptionState, option_states
from apps.console import groups, links
from apps.console.builds.bases import base_lines
from apps.console.moment import Moment
from apps.console.regions import Fragment, View
from apps.console.repositories.rows import SIGNS, figures_of
from apps.lib.text import plain_text
from apps.waves.models import OPEN
from apps.workspaces.models import Repository, RepositoryState


@dataclass(frozen=True, slots=True)
class Line:
    """An option, with its sign and what a button would do to it."""

    state: OptionState
    sign: str
    tone: str
    word: str
    why: str
    verb: str


def repository_of(view: View) -> Repository:
    rows = Repository.objects.annotate(
        wave_count=Count("waves"), open_count=Count("waves", filter=Q(waves__state__in=OPEN))
    )
    found = rows.filter(pk=int(view.get("pk") or 0)).first()
    if found is None:
        raise Http404("There is no such repository.")
    return found


def repository_head(view: View, moment: Moment) -> Fragment:
    row = repository_of(view)
    sign, tone = SIGNS[RepositoryState(row.state)]
    context = {
        "view": view,
        "row": row,
        "sign": sign,
        "tone": tone,
        "strip": figures_of(groups.group_of(moment.snapshot(view.window), "repository", row.name)),
        "builds": links.builds_of_repository(row.name),
        "directories": links.directories_of_repository(row.name),
        "history": links.history_of(f"repository:{row.name}"),
    }
    return Fragment.simple(render_to_string("console/repositories/head.html", context))


def repository_builds(view: View, moment: Moment) -> Fragment:
    row = repository_of(view)
    options = BuildOptions.objects.filter(repository=row).first() or BuildOptions()
    context = {
        "view": view,
        "row": row,
        "options": [line_of(state) for state in option_states(row, options, moment.hosts)],
        "scheme": options.scheme,
        "schemes": Scheme.values,
        "commands": plain_text(options.base_commands, 500),
        "lines": base_lines(moment, Base.objects.filter(repository=row)),
    }
    return Fragment.simple(render_to_string("console/repositories/builds.html", context))


def line_of(state: OptionState) -> Line:
    why = plain_text(state.why, 400)
    if not state.is_on:
        return Line(state, "○", "quiet", "off", why, "on")
    if state.is_active:
        return Line(state, "●", "good", "active", why, "off")
    return Line(state, "◐", "warn", "not active", why, "off")
