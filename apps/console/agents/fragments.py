"""The live regions of the agents' list and of one agent's page."""

from collections import Counter
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import Http404, QueryDict
from django.template.loader import render_to_string
from django.utils.safestring import mark_safe

from apps.console import display
from apps.console.agents.facts import facts_of
from apps.console.agents.numbers import numbers_of
from apps.console.agents.rows import ROW_FIELDS, VERBS, word_of
from apps.console.agents.selection import (
    FIGURE_SORTS,
    by_cost,
    by_figure,
    chips,
    in_order,
    is_filtered,
    matching,
)
from apps.console.agents.table import table_of
from apps.console.charts import agent_chart_data
from apps.console.moment import Moment, count_states
from apps.console.regions import COUNTS, Fragment, Region, View
from apps.console.spending.card import spending_card
from apps.events.models import Event
from apps.fleet.domain.outcome import outcome_of
from apps.fleet.models import Agent
from apps.fleet.spending import ledger_of
from apps.lib.text import plain_text

PAGE = 100
EVENTS = 12


def agents_table(view: View, moment: Moment) -> Fragment:
    scope = Agent.objects.filter(group=view.get("wave")) if view.get("wave") else Agent.objects.all()
    counts = sum(count_states(scope).values(), Counter())
    return agents_fragment(view, moment, counts, short=False)


def agents_fragment(view: View, moment: Moment, counts: Counter[str], *, short: bool) -> Fragment:
    """A page of the agents that match, with its rows as parts."""
    rows, shown = page_of(Agent.objects.filter(matching(view)), view, moment)
    ledger = ledger_of(Agent.objects.filter(pk__in=[agent.pk for agent in rows]))
    table = table_of(rows, view, moment, ledger, short=short)
    tools = render_to_string("console/chips.html", {"chips": chips(counts, view), "query": kept(view)})
    context = {
        "view": view,
        "tools": mark_safe(tools),  # noqa: S308 - rendered by its template
        "table": table,
        "page": shown,
        "query": kept(view, "state"),
        "filtered": is_filtered(view),
    }
    shape = (view, table.shape, shown.paginator.num_pages)
    parts = {"chips": tools, **table.rows}
    return Fragment(shape, lambda: render_to_string("console/agents/region.html", context), parts)


def kept(view: View, *more: str) -> QueryDict:
    """What links keep of the address. On a wave's own page the wave isn't part of it."""
    names = ("q", "sort", "window", *more)
    return view.keep(*names) if view.region == "wave_agents" else view.keep("wave", *names)


def page_of(agents: QuerySet[Agent], view: View, moment: Moment) -> tuple[list[Agent], Page[Any]]:
    """The rows of the page that the view asks for, in its order, and that page's place among the others."""
    sort = view.get("sort")
    if sort in FIGURE_SORTS or sort == "cost":
        pks = set(agents.values_list("pk", flat=True))
        is_cost = sort == "cost"
        order = (
            by_cost(ledger_of(agents), pks) if is_cost else by_figure(sort, moment.snapshot(view.window), pks)
        )
        page = Paginator(order, PAGE).get_page(view.page)
        rows = Agent.objects.only(*ROW_FIELDS).in_bulk(list(page))
        return [rows[pk] for pk in page if pk in rows], page
    # A wave's own page keeps the order of its numbers.
    ordered = agents.order_by("pk") if view.region == "wave_agents" and not sort else in_order(agents, sort)
    found = Paginator(ordered.only(*ROW_FIELDS), PAGE).get_page(view.page)
    return list(found), found


def agent_of(view: View, moment: Moment) -> Agent:
    agent = moment.agent(int(view.get("pk") or 0))
    if agent is None:
        raise Http404("There is no such agent.")
    return agent


def agent_head(view: View, moment: Moment) -> Fragment:
    agent = agent_of(view, moment)
    sign, tone = display.STATE_SIGNS[outcome_of(agent.state, agent.desired)]
    context = {
        "view": view,
        "agent": agent,
        "sign": sign,
        "tone": tone,
        "word": word_of(agent),
        "now": plain_text(agent.activity, 200),
        "reason": plain_text(agent.reason, 300),
        "verbs": [verb for verb in VERBS if view.acts and agent.can(verb)],
    }
    return Fragment.simple(render_to_string("console/agents/head.html", context))


def agent_facts(view: View, moment: Moment) -> Fragment:
    context = {"view": view, "facts": facts_of(agent_of(view, moment))}
    return Fragment.simple(render_to_string("console/agents/facts.html", context))


def agent_charts(view: View, moment: Moment) -> Fragment:
    agent = agent_of(view, moment)
    data = agent_chart_data(
        moment.agent_charts(agent.pk, view.window), agent.memory_budget_mb, moment.p95_target
    )
    return Fragment.simple(render_to_string("console/charts_data.html", {"view": view, "data": data}))


def agent_numbers(view: View, moment: Moment) -> Fragment:
    context = {"view": view, "numbers": numbers_of(agent_of(view, moment), view, moment)}
    return Fragment.simple(render_to_string("console/agents/numbers.html", context))


def agent_spending(view: View, moment: Moment) -> Fragment:
    agent = agent_of(view, moment)
    return spending_card(view, moment.spending(agent), Agent.objects.filter(pk=agent.pk))


def agent_events(view: View, moment: Moment) -> Fragment:
    events = Event.objects.about("agent", int(view.get("pk") or 0)).newest_first()[:EVENTS]
    return Fragment.simple(render_to_string("console/events/feed.html", {"view": view, "events": events}))


CHANGES = frozenset({"agent"})

REGIONS = (
    Region(
        "agents_table",
        agents_table,
        ("window", "wave", "state", "q", "sort", "page"),
        frozenset({"agent", "wave", "telemetry"}),
    ),
    Region("agent_head", agent_head, ("pk",), CHANGES),
    Region("agent_facts", agent_facts, ("pk",), CHANGES),
    Region("agent_numbers", agent_numbers, ("window", "pk"), CHANGES | {"telemetry", COUNTS}),
    Region("agent_charts", agent_charts, ("window", "pk"), frozenset({"telemetry"})),
    Region("agent_spending", agent_spending, ("pk",), CHANGES | {"telemetry"}),
    Region("agent_events", agent_events, ("pk",), CHANGES),
)
