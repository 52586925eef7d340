from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from apps.console import display, links
from apps.console.moment import Moment
from apps.console.pages import now, page
from apps.console.regions import WINDOWS
from apps.console.spending.card import Line, line_of, model_lines
from apps.console.spending.numbers import TOKENS, cost
from apps.console.tiles import Number
from apps.fleet.domain.spending import Spending
from apps.fleet.models import Agent
from apps.fleet.spending import Ledger, ledger_of

MAX_WAVES = 50
LAST_DAY = "As agents measured it (OTLP), renewed once a minute"


@require_safe
def spending(request: HttpRequest) -> HttpResponse:
    """What all agents ever used up. It doesn't move: the yard's figures do, and this looks at all agents there are."""
    moment = Moment(now())
    ledger = ledger_of(Agent.objects.all())
    whole = ledger.whole
    waves = wave_lines(ledger)
    return page(
        request,
        "console/spending/page.html",
        "spending",
        moment,
        {},
        strip=[cost(whole, "so far"), *tokens(whole), last_day(moment)],
        models=model_lines(whole) if whole.is_known else [],
        waves=waves,
        more=len(ledger.waves) - len(waves),
    )


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
        used = ledger.waves[label]
        return -(used.cost_usd or 0.0), -(used.tokens or 0), label

    ranked = sorted(ledger.waves, key=order)[:MAX_WAVES]
    return [line_of(label, ledger.waves[label], links.wave(label)) for label in ranked]
