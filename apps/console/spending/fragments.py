"""The live region of what all agents ever used up."""

from dataclasses import dataclass

from django.template.loader import render_to_string

from apps.console import display, links
from apps.console.moment import Moment
from apps.console.regions import WINDOWS, Fragment, Region, View
from apps.console.spending.card import Line, line_of, model_lines
from apps.console.spending.numbers import TOKENS, cost
from apps.console.spending.renewed import Renewed
from apps.console.tiles import Number
from apps.fleet.domain.spending import Spending
from apps.fleet.models import Agent
from apps.fleet.spending import Ledger, ledger_of

MAX_WAVES = 50
LAST_DAY = "As agents measured it (OTLP), renewed once a minute"


@dataclass(frozen=True, slots=True)
class Used:
    """`more`: how many waves are left out."""

    whole: Spending
    models: list[Line]
    waves: list[Line]
    more: int


def look_up() -> Used:
    """Looks at all agents there are."""
    ledger = ledger_of(Agent.objects.all())
    whole, waves = ledger.whole, wave_lines(ledger)
    models = model_lines(whole) if whole.is_known else []
    return Used(whole, models, waves, len(ledger.waves) - len(waves))


used = Renewed(look_up)  # by this web process: pushes come once a second, however many agents there are


def spending(view: View, moment: Moment) -> Fragment:
    now = used.recent()
    context = {
        "view": view,
        "strip": [cost(now.whole, "so far"), *tokens(now.whole), last_day(moment)],
        "models": now.models,
        "waves": now.waves,
        "more": now.more,
    }
    return Fragment.simple(render_to_string("console/spending/region.html", context))


def tokens(whole: Spending) -> list[Number]:
    return [
        Number("Tokens in", "", display.tokens(whole.fed), "", "that no cache had", means=TOKENS),
        Number("Cached", "", display.tokens(whole.cache_read), "", "input that a cache had", means=TOKENS),
        Number("Tokens out", "", display.tokens(whole.tokens_out), "", "thinking included", means=TOKENS),
    ]


def last_day(moment: Moment) -> Number:
    """What was measured lately: what agents only print has no time."""
    snapshot = moment.snapshot(WINDOWS["24h"])
    totals = snapshot.totals if snapshot else None
    if totals is None or totals.tokens is None:
        return Number("Last 24 h", "", display.NONE, "", "none measured", means=LAST_DAY)
    note = f"{display.tokens(totals.tokens)} tokens"
    return Number("Last 24 h", "", display.money(totals.cost_usd), "", note, means=LAST_DAY)


def wave_lines(ledger: Ledger) -> list[Line]:
    """The waves that cost most."""

    def order(label: str) -> tuple[float, int, str]:
        each = ledger.waves[label]
        return -(each.cost_usd or 0.0), -(each.tokens or 0), label

    ranked = sorted(ledger.waves, key=order)[:MAX_WAVES]
    return [line_of(label, ledger.waves[label], links.wave(label)) for label in ranked]


REGIONS = (Region("spending", spending),)  # no hint tells of it: the push renders it again each second
