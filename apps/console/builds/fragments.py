"""The live regions of the builds' pages."""

from django.core.paginator import Paginator
from django.http import Http404
from django.template.loader import render_to_string

from apps.builds.models import Build, BuildRecording, LockWait
from apps.builds.queries import builds_of
from apps.console import links
from apps.console.builds.bases import build_bases
from apps.console.builds.caches import build_caches
from apps.console.builds.directories import build_directories
from apps.console.builds.facts import facts_of
from apps.console.builds.now import builds_waiting, going_on, so_far
from apps.console.builds.numbers import numbers_of
from apps.console.builds.rows import ROW_FIELDS, WaitNow, kind_word, line_of, took_text, who_of
from apps.console.builds.selection import FILTER, chips, chosen_by
from apps.console.builds.timeline import MOST_WAITS, bars_of, end_words
from apps.console.builds.waits import build_wait_chart, build_wait_pairs
from apps.console.moment import LONG_TEXTS, Moment
from apps.console.regions import Fragment, Region, View
from apps.fleet.models import Agent
from apps.lib.text import plain_text

PAGE = 50
MOST = 5_000  # builds that can be paged through
HELD_UP = 20
NEWEST = 6
CHANGES = frozenset({"build"})


def builds_numbers(view: View, moment: Moment) -> Fragment:
    context = {"view": view, "strip": numbers_of(view, moment)}
    return Fragment.simple(render_to_string("console/builds/numbers.html", context))


def builds_table(view: View, moment: Moment) -> Fragment:
    rows = builds_of(chosen_by(view)).select_related("agent").only(*ROW_FIELDS)
    shown = Paginator(rows[:MOST], PAGE).get_page(view.page)
    waiting = going_on(list(shown), moment)
    query = view.keep("window", *FILTER)
    context = {
        "view": view,
        "lines": [line_of(build, waiting.get(build.pk)) for build in shown],
        "page": shown,
        "chips": chips(view),
        "chips_query": query,
        "query": view.keep("window", "state", *FILTER),
        "agent": agent_name(view),
        "host": view.get("host"),
        "filtered": any(view.get(name) for name in (*FILTER, "state")),
        "most": MOST if shown.paginator.count == MOST else None,
    }
    return Fragment.simple(render_to_string("console/builds/table.html", context))


def agent_name(view: View) -> str:
    """Of the agent whose builds alone are shown; empty for all."""
    if not view.get("agent"):
        return ""
    return (
        Agent.objects.filter(pk=view.get("agent")).values_list("name", flat=True).first()
        or "an agent that is gone"
    )


def build_of(view: View) -> Build:
    rows = Build.objects.with_names().select_related("agent", "host", "directory")
    build = rows.filter(pk=int(view.get("pk") or 0)).first()
    if build is None:
        raise Http404("There is no such build.")
    return build


def build_shown(view: View, moment: Moment) -> Fragment:
    build = build_of(view)
    waits = list(build.waits.select_related("holder__agent").defer(*long_texts("holder"))[:MOST_WAITS])
    lasting = so_far(build, moment)
    now = WaitNow(lasting[0].kind, lasting[0].began_at) if lasting else None
    context = {
        "view": view,
        "build": build,
        "line": line_of(build, now),
        "said": end_words(build),
        "bars": bars_of(build, [*waits, *lasting], moment.now),
        "more": build.waits.count() - MOST_WAITS if len(waits) == MOST_WAITS else 0,
        "facts": facts_of(build),
        "held_up": held_up_by(build),
        "has_recording": BuildRecording.objects.filter(build=build).exists(),
    }
    return Fragment.simple(render_to_string("console/builds/shown.html", context))


def held_up_by(build: Build) -> list[tuple[str, str, str, str]]:
    """Who waited for it: name, page of that build, kind of lock, how long. The longest first."""
    waits = LockWait.objects.filter(holder=build).select_related("build__agent").order_by("-ms")
    return [
        (waiter_of(wait.build), links.build(wait.build.pk), kind_word(wait.kind), took_text(wait.ms / 1000))
        for wait in waits.defer(*long_texts("build"))[:HELD_UP]
        if wait.build is not None
    ]


def long_texts(build: str) -> tuple[str, ...]:
    """Of the agent of a wait's `build`, which nobody wants to see here."""
    return tuple(f"{build}__agent__{name}" for name in LONG_TEXTS)


def waiter_of(build: Build) -> str:
    return plain_text(who_of(build), 80)


def agent_builds(view: View, moment: Moment) -> Fragment:
    """The newest of one agent, for its page."""
    rows = Build.objects.filter(agent=int(view.get("pk") or 0)).order_by("-asked_at", "-pk")
    newest = list(rows.select_related("agent").only(*ROW_FIELDS)[:NEWEST])
    waiting = going_on(newest, moment)
    context = {
        "view": view,
        "lines": [line_of(build, waiting.get(build.pk)) for build in newest],
        "more": links.builds_of_agent(int(view.get("pk") or 0)),
    }
    return Fragment.simple(render_to_string("console/builds/of_agent.html", context))


REGIONS = (
    Region("builds_numbers", builds_numbers, ("window", *FILTER), CHANGES),
    Region("builds_waiting", builds_waiting, FILTER, CHANGES | {"host"}),
    Region("builds_table", builds_table, ("window", "state", *FILTER, "page"), CHANGES),
    Region("build_wait_chart", build_wait_chart, ("window",), CHANGES),
    Region("build_wait_pairs", build_wait_pairs, ("window",), CHANGES),
    Region("build_directories", build_directories, ("repository", "page"), CHANGES),
    Region("build_bases", build_bases, (), CHANGES | {"repository", "host"}),
    Region("build_caches", build_caches, (), frozenset({"host"})),
    Region("build_shown", build_shown, ("pk",), CHANGES),
    Region("agent_builds", agent_builds, ("pk",), CHANGES),
)
