"""How tokens and cost are written for people."""

from apps.console import display
from apps.console.tiles import Number
from apps.fleet.domain.spending import Spending

COST = (
    "What the models cost in US dollars, as the agents reckon it: the higher of what an agent measured (OTLP) and "
    "what it printed, never their sum"
)

TOKENS = "As agents measured (OTLP) or printed them. The counts don't overlap"


def cost(spending: Spending, note: str = "", href: str = "") -> Number:
    """So far, of an agent or of several. `note`: in place of their tokens."""
    if not spending.is_known:
        return Number("Cost", href, display.NONE, "", "none reported", means=COST)
    note = note or token_words(spending) or "so far"
    return Number("Cost", href, display.money(spending.cost_usd), "", note, means=COST)


def token_words(spending: Spending) -> str:
    """As in "1.2 M in · 40 k cached · 12 k out"; empty where nobody told of any."""
    counts = (
        (spending.fed, "in"),
        (spending.cache_read or None, "cached"),
        (spending.tokens_out, "out"),
    )
    words = [f"{display.tokens(count)} {word}" for count, word in counts if count is not None]
    return " · ".join(words)


def price_or_tokens(spending: Spending) -> str:
    """For a narrow column: the cost, or where nobody names a price the tokens."""
    if spending.cost_usd is None and spending.tokens:
        return f"{display.tokens(spending.tokens)} tok"
    return display.money(spending.cost_usd)
