"""What agents used up, line by line: a card on the page of a wave and of an agent."""

from dataclasses import dataclass

from django.db.models import QuerySet
from django.template.loader import render_to_string

from apps.console import display
from apps.console.regions import Fragment, View
from apps.console.spending.numbers import COST, token_words
from apps.fleet.domain.spending import Spending, together
from apps.fleet.models import Agent
from apps.fleet.spending import by_model
from apps.lib.text import plain_text

MAX_LINES = 8
UNNAMED = "not named"
REST = "others"


@dataclass(frozen=True, slots=True)
class Line:
    name: str
    href: str
    words: str
    fed: str
    cached: str
    out: str
    cost: str


def line_of(name: str, spending: Spending, href: str = "") -> Line:
    return Line(
        plain_text(name, 64),
        href,
        token_words(spending),
        display.tokens(spending.fed),
        display.tokens(spending.cache_read),
        display.tokens(spending.tokens_out),
        display.money(spending.cost_usd),
    )


def model_lines(whole: Spending, agents: QuerySet[Agent] | None = None) -> list[Line]:
    """The models that cost most, and the rest as one."""
    found = list(by_model(whole, agents).items())
    shown = found if len(found) <= MAX_LINES else found[: MAX_LINES - 1]
    lines = [line_of(name or UNNAMED, spending) for name, spending in shown]
    rest = together(spending for _, spending in found[len(shown) :])
    return [*lines, line_of(REST, rest)] if rest.is_known else lines


def named_lines(whole: Spending, agents: QuerySet[Agent]) -> list[Line]:
    """None where no model is named: the whole says it all."""
    lines = model_lines(whole, agents)
    return [] if [line.name for line in lines] == [UNNAMED] else lines


def spending_card(view: View, whole: Spending, agents: QuerySet[Agent]) -> Fragment:
    context = {
        "view": view,
        "whole": line_of("all", whole) if whole.is_known else None,
        "lines": named_lines(whole, agents) if whole.is_known else [],
        "means": COST,
    }
    return Fragment.simple(render_to_string("console/spending/card.html", context))
