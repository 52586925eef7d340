"""The live regions of the yard."""

from collections import defaultdict
from datetime import timedelta

from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from apps.console.agents.rows import ROW_FIELDS
from apps.console.agents.selection import chips, is_filtered, matching
from apps.console.agents.table import Table, table_of
from apps.console.charts import chart_data
from apps.console.moment import LONG_TEXTS, Moment
from apps.console.regions import COUNTS, Fragment, Region, View
from apps.console.waves.cards import finished_lines, head_html
from apps.console.yard.attention import AT_ONCE, MAX_ITEMS, items, summary
from apps.console.yard.numbers import numbers, strip
from apps.events.models import Event
from apps.fleet.models import Agent
from apps.waves.models import OPEN, Wave
from apps.workspaces.models import Repository

MAX_ROWS = 120  # of one wave; its own page shows all
FEED = 12
FINISHED = 8
FINISHED_WITHIN = timedelta(hours=24)


def attention(view: View, moment: Moment) -> Fragment:
    found = items(moment)
    context = {
        "view": view,
        "items": found[:AT_ONCE],
        "folded": found[AT_ONCE:MAX_ITEMS],
        "more": max(0, len(found) - AT_ONCE),
        "summary": summary(found),
    }
    return Fragment.simple(render_to_string("console/yard/attention.html", context))


def first_run(view: View, moment: Moment) -> Fragment:
    """What to do first. Once the first agent is planned, the page is told to become the real one."""
    context = {
        "view": view,
        "over": Agent.objects.exists(),
        "has_host": any(host.heartbeat_at for host in moment.hosts),
        "has_repository": Repository.objects.exists(),
    }
    return Fragment.simple(render_to_string("console/yard/first_run.html", context))


def number_cards(view: View, moment: Moment) -> Fragment:
    context = {"view": view, "numbers": numbers(view, moment), "strip": strip(view, moment)}
    return Fragment.simple(render_to_string("console/yard/numbers.html", context))


def charts(view: View, moment: Moment) -> Fragment:
    data = chart_data(moment.snapshot(view.window), moment.admission.limit, moment.p95_target)
    return Fragment.simple(render_to_string("console/charts_data.html", {"view": view, "data": data}))


def waves(view: View, moment: Moment) -> Fragment:
    """A card for each open wave: its head and its agents' rows are pushed one by one."""
    shown = [wave for wave in moment.open_waves if view.get("wave") in ("", wave.label)]
    tables = tables_of(shown, view, moment)
    heads = {f"wave-{wave.pk}-head": wave_head(wave, view, moment) for wave in shown}
    tools = render_to_string("console/chips.html", chips_context(view, moment))
    parts = {"chips": tools, **heads}
    for table in tables.values():
        parts |= table.rows

    def assemble() -> str:
        cards = [card_context(wave, heads[f"wave-{wave.pk}-head"], tables[wave.pk], moment) for wave in shown]
        context = {"view": view, "tools": mark_safe(tools), "cards": cards, "filtered": is_filtered(view)}  # noqa: S308
        return render_to_string("console/yard/waves.html", context)

    shape = tuple((wave.pk, tables[wave.pk].shape, moment.progress[wave.pk].total) for wave in shown)
    return Fragment((view, shape), assemble, parts)


def wave_head(wave: Wave, view: View, moment: Moment) -> SafeString:
    return head_html(wave, moment.progress[wave.pk], view.acts, moment.ledger.of_wave(wave.label))


def chips_context(view: View, moment: Moment) -> dict[str, object]:
    labels = [wave.label for wave in moment.open_waves]
    wanted = {view.get("wave")} if view.get("wave") else set(labels)
    several = len(labels) > 1 or view.get("wave")
    return {
        "chips": chips(moment.counts_of(wanted), view),
        "query": view.keep("wave", "q", "window"),
        "waves": [(label, label == view.get("wave")) for label in labels] if several else [],
        "query_without_wave": view.keep("q", "window"),
        "state": view.get("state") or "all",
    }


def card_context(wave: Wave, head: str, table: Table, moment: Moment) -> dict[str, object]:
    return {"wave": wave, "head": head, "table": table, "total": moment.progress[wave.pk].total}


def tables_of(waves: list[Wave], view: View, moment: Moment) -> dict[int, Table]:
    agents = Agent.objects.filter(matching(view), group__in=[wave.label for wave in waves]).order_by(
        "group", "pk"
    )
    by_wave: dict[str, list[Agent]] = defaultdict(list)
    for agent in agents.only(*ROW_FIELDS)[: MAX_ROWS * max(1, len(waves))]:
        by_wave[agent.group].append(agent)
    return {
        wave.pk: table_of(by_wave[wave.label][:MAX_ROWS], view, moment, moment.ledger, short=True)
        for wave in waves
    }


def finished(view: View, moment: Moment) -> Fragment:
    ended = Wave.objects.exclude(state__in=OPEN).filter(ended_at__gt=moment.now - FINISHED_WITHIN)
    rows = list(ended.defer(*LONG_TEXTS).select_related("repository").order_by("-ended_at")[:FINISHED])
    context = {"view": view, "lines": finished_lines(rows), "open": bool(moment.open_waves)}
    return Fragment.simple(render_to_string("console/yard/finished.html", context))


def feed(view: View, moment: Moment) -> Fragment:
    context = {"view": view, "events": Event.objects.newest_first()[:FEED]}
    return Fragment.simple(render_to_string("console/yard/feed.html", context))


ROWS_CHANGE = frozenset({"agent", "wave"})

REGIONS = (
    Region("yard_first_run", first_run, (), frozenset({"agent", "wave", "host", "repository"})),
    Region("yard_attention", attention, (), frozenset({"agent", "wave", "host", "repository", "alert"})),
    Region("yard_numbers", number_cards, ("window",), frozenset({"agent", "wave", "telemetry", COUNTS})),
    Region("yard_charts", charts, ("window",), frozenset({"telemetry"})),
    Region("yard_waves", waves, ("window", "state", "wave", "q"), ROWS_CHANGE | {"telemetry"}),
    Region("yard_finished", finished, (), frozenset({"wave"})),
    Region("yard_feed", feed, (), frozenset({"agent", "wave", "host", "repository", "workspace", "alert"})),
)
