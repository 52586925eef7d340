"""The live regions of the waves' list and of one wave's page."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.paginator import Paginator
from django.db.models import Count
from django.http import Http404
from django.template.loader import render_to_string

from apps.console import groups
from apps.console.agents.fragments import agents_fragment
from apps.console.charts import compact, rounded
from apps.console.moment import LONG_TEXTS, Moment, count_states
from apps.console.regions import WINDOW_WORDS, Fragment, Region, View
from apps.console.spending.card import spending_card
from apps.console.spending.numbers import cost, price_or_tokens, token_words
from apps.console.waves.cards import finished_lines, head_html
from apps.events.models import Event
from apps.fleet.domain.outcome import outcome_of
from apps.fleet.models import LIVE, UNSTARTED, Agent
from apps.fleet.spending import ledger_of
from apps.waves.models import OPEN, Member, Wave
from apps.waves.queries import progress

PAGE = 50
EVENTS = 12
MAX_STEPS = 60
STATES = {"open": OPEN, "done": ("done",), "failed": ("failed", "aborted")}


def waves_table(view: View, moment: Moment) -> Fragment:
    waves = Wave.objects.defer(*LONG_TEXTS).select_related("repository").order_by("-id")
    if view.get("state") in STATES:
        waves = waves.filter(state__in=STATES[view.get("state")])
    shown = Paginator(waves, PAGE).get_page(view.page)
    context = {
        "view": view,
        "lines": lines_of(list(shown)),
        "page": shown,
        "states": [
            ("all", view.get("state") not in STATES),
            *((key, key == view.get("state")) for key in STATES),
        ],
        "query": view.keep("state"),
        "filtered": view.get("state") in STATES,
    }
    return Fragment.simple(render_to_string("console/waves/table.html", context))


def lines_of(waves: Sequence[Wave]) -> list[dict[str, Any]]:
    """As on the yard, with what they cost."""
    ledger = ledger_of(Agent.objects.filter(group__in=[wave.label for wave in waves]))
    spent = {wave.pk: ledger.of_wave(wave.label) for wave in waves}
    return [
        line
        | {"cost": price_or_tokens(spent[line["wave"].pk]), "cost_words": token_words(spent[line["wave"].pk])}
        for line in finished_lines(waves)
    ]


def wave_of(view: View) -> Wave:
    wave = Wave.objects.defer(*LONG_TEXTS).select_related("repository").filter(label=view.get("wave")).first()
    if wave is None:
        raise Http404(f"There is no wave {view.get('wave')}.")
    return wave


def wave_head(view: View, moment: Moment) -> Fragment:
    wave = wave_of(view)
    context = {"view": view, "head": head_html(wave, progress(wave, moment.now), view.acts), "wave": wave}
    return Fragment.simple(render_to_string("console/waves/head_region.html", context))


def wave_numbers(view: View, moment: Moment) -> Fragment:
    """Figures of its agents together."""
    label, span = view.get("wave"), WINDOW_WORDS[view.window_word]
    group = groups.group_of(moment.snapshot(view.window), "wave", label)
    spent = cost(ledger_of(Agent.objects.filter(group=label)).whole, "so far")
    context = {
        "view": view,
        "strip": [*groups.all_of(group, span, moment.p95_target), spent] if group else [spent],
        "aside": "" if group else f"No agent of it was heard of in {span}",
        "span": span,
    }
    return Fragment.simple(render_to_string("console/waves/numbers.html", context))


def wave_spending(view: View, moment: Moment) -> Fragment:
    agents = Agent.objects.filter(group=view.get("wave"))
    return spending_card(view, ledger_of(agents).whole, agents)


@dataclass
class Step:
    """How one step came up."""

    number: int
    counts: Counter[str]

    def sum(self, states: Iterable[str]) -> int:
        return sum(self.counts[state] for state in states)

    @property
    def total(self) -> int:
        return self.counts.total()

    @property
    def words(self) -> str:
        """As in "3 up · 1 failed"."""
        failed = self.counts["failed"] + self.counts["lost"]
        starting = self.counts["starting"]
        pieces = (
            (self.sum(UNSTARTED), "to start"),
            (starting, "starting"),
            (self.sum(LIVE) - starting, "up"),
            (self.counts["exited"], "ended well"),
            (self.counts["stopped"], "stopped"),
            (failed, "failed"),
        )
        return " · ".join(f"{count} {word}" for count, word in pieces if count)


def wave_steps(view: View, moment: Moment) -> Fragment:
    steps: dict[int, Step] = {}
    members = Member.objects.filter(wave__label=view.get("wave")).order_by("step")
    by_state = members.values_list("step", "agent__state", "agent__desired").annotate(Count("pk"))
    for number, state, desired, count in by_state:
        steps.setdefault(number, Step(number + 1, Counter())).counts[outcome_of(state, desired)] += count
    shown = list(steps.values())[:MAX_STEPS]
    context = {"view": view, "steps": shown, "more": len(steps) - len(shown)}
    return Fragment.simple(render_to_string("console/waves/steps.html", context))


def wave_agents(view: View, moment: Moment) -> Fragment:
    counts = count_states(Agent.objects.filter(group=view.get("wave"))).get(view.get("wave"), Counter())
    return agents_fragment(view, moment, counts, short=True)


def wave_events(view: View, moment: Moment) -> Fragment:
    wave = wave_of(view)
    context: dict[str, Any] = {
        "view": view,
        "events": Event.objects.about("wave", wave.pk).newest_first()[:EVENTS],
    }
    return Fragment.simple(render_to_string("console/events/feed.html", context))


def wave_charts(view: View, moment: Moment) -> Fragment:
    snapshot, label = moment.snapshot(view.window), view.get("wave")
    data: dict[str, Any] = {"times": []}
    if snapshot and label in snapshot.charts.throughput:
        series = {label: rounded(snapshot.charts.throughput[label])}
        data = {"times": [round(at, 1) for at in snapshot.charts.times], "throughput": {"stacked": series}}
    return Fragment.simple(
        render_to_string("console/charts_data.html", {"view": view, "data": compact(data)})
    )


CHANGES = frozenset({"agent", "wave"})

REGIONS = (
    Region("waves_table", waves_table, ("state", "page"), CHANGES),
    Region("wave_head", wave_head, ("wave",), CHANGES),
    Region("wave_numbers", wave_numbers, ("window", "wave"), frozenset({"telemetry"})),
    Region("wave_spending", wave_spending, ("wave",), CHANGES | {"telemetry"}),
    Region("wave_steps", wave_steps, ("wave",), CHANGES),
    Region(
        "wave_agents", wave_agents, ("window", "wave", "state", "q", "sort", "page"), CHANGES | {"telemetry"}
    ),
    Region("wave_events", wave_events, ("wave",), CHANGES),
    Region("wave_charts", wave_charts, ("window", "wave"), frozenset({"telemetry"})),
)
