"""One agent as a row of a table. Rows that didn't change aren't rendered again."""

from dataclasses import dataclass, fields
from functools import lru_cache
from html import escape

from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from apps.console import display, links
from apps.console.spending.numbers import price_or_tokens, token_words
from apps.fleet.domain.outcome import outcome_of
from apps.fleet.domain.spending import NOTHING_TOLD, Spending
from apps.fleet.models import Agent, Desired, State
from apps.lib.text import plain_text
from apps.telemetry.snapshot import AgentFigures

HIGH_WAIT_PCT = 10.0
HIGH_MEMORY_PCT = 85
VERBS = ("pause", "resume", "stop", "kill", "restart")
ROW_FIELDS = (
    "pk",
    "name",
    "group",
    "role",
    "state",
    "desired",
    "reason",
    "activity",
    "memory_bytes",
    "memory_budget_mb",
    "restarts",
)
MAX_CACHED = 5_000


@dataclass(frozen=True, slots=True)
class Row:
    """What a row shows, as it shows it."""

    pk: int
    href: str
    name: str
    sign: str
    tone: str
    word: str
    label: str
    role: str
    now: str
    rate: str
    spark: str
    p95: str
    p95_tone: str
    wait: str
    wait_share: int
    wait_tone: str
    memory: str
    memory_share: int
    memory_tone: str
    cost: str
    cost_words: str
    verbs: str


NAMES = tuple(field.name for field in fields(Row))


def row_of(
    agent: Agent,
    figures: AgentFigures | None,
    label: str,
    p95_target: float | None = None,
    spending: Spending = NOTHING_TOLD,
) -> Row:
    sign, tone = display.STATE_SIGNS[outcome_of(agent.state, agent.desired)]
    memory = ((figures.memory if figures else 0) or agent.memory_bytes) if agent.is_live else None
    share = display.share(memory, agent.memory_budget_mb * display.MB)
    p95 = figures.p95 if figures else None
    wait = figures.wait_pct if figures else None
    return Row(
        pk=agent.pk,
        href=links.agent(agent.pk),
        name=plain_text(agent.name, 80),
        sign=sign,
        tone=tone,
        word=word_of(agent),
        label=plain_text(label, 80),
        role=plain_text(agent.role, 40),
        now=now_of(agent),
        rate=display.rate(figures.throughput if figures and reports(figures) else None),
        spark=display.sparkline(figures.sparkline) if figures else "",
        p95=display.milliseconds(p95),
        p95_tone="" if is_met(p95, p95_target) else "bad",
        wait=display.percent(wait) + ("" if wait is None else f"{display.NARROW}%"),
        wait_share=display.share(wait, 100.0),
        wait_tone="high" if wait is not None and wait >= HIGH_WAIT_PCT else "",
        memory=display.size_text(memory) if memory else display.NONE,
        memory_share=share,
        memory_tone="high" if share >= HIGH_MEMORY_PCT else "",
        cost=price_or_tokens(spending),
        cost_words=token_words(spending),
        verbs=verbs_of(agent),
    )


def is_met(value: float | None, target: float | None) -> bool:
    """Of a latency; what isn't known, and what has no target, misses none."""
    return value is None or target is None or value < target


def reports(figures: AgentFigures) -> bool:
    """Whether it tells of its operations at all: who never did may work hard, so 0 would be made up."""
    return figures.operations > 0 or figures.last_at is not None


def verbs_of(agent: Agent) -> str:
    return " ".join(verb for verb in VERBS if agent.can(verb))


def word_of(agent: Agent) -> str:
    if agent.state == State.WAITING:
        return "waiting"
    if agent.state in (State.BUSY, State.IDLE, State.STARTING) and agent.desired == Desired.PAUSED:
        return "pausing"
    return outcome_of(agent.state, agent.desired)


def now_of(agent: Agent) -> str:
    """What it does, or why it is where it is."""
    if agent.state == State.EXITED:
        return plain_text(" · ".join(filter(None, (agent.reason, agent.activity))), 120)
    if agent.is_ended or agent.state in (State.PAUSED, State.STOPPING):
        return plain_text(agent.reason or agent.activity, 120)
    text = plain_text(agent.activity or agent.reason, 120)
    return f"asks: “{text}”" if agent.state == State.WAITING and text else text


@lru_cache(maxsize=500)
def pattern(told: frozenset[str], acts: bool) -> str:
    """The row's template with a mark in place of each value that there is: to fill these in costs a tenth of
    rendering it."""
    marks = {name: mark_safe(f"{{{name}}}") if name in told else "" for name in NAMES}  # noqa: S308 - names of ours
    return render_to_string("console/agents/row.html", {"row": marks, "acts": acts})


_rendered: dict[tuple[int, str, bool], tuple[Row, SafeString]] = {}


def row_html(row: Row, acts: bool) -> SafeString:
    """The row; `acts` puts its menu of actions in it."""
    key = (row.pk, row.label, acts)
    known = _rendered.get(key)
    if known and known[0] == row:
        return known[1]
    if len(_rendered) > MAX_CACHED:
        _rendered.clear()
    html = filled(row, acts)
    _rendered[key] = row, html
    return html


def filled(row: Row, acts: bool) -> SafeString:
    values = {name: value for name in NAMES if (value := getattr(row, name))}
    marked = pattern(frozenset(values), acts)
    escaped = {name: escape(str(value)) for name, value in values.items()}
    return mark_safe(marked.format_map(escaped))  # noqa: S308 - the template's own text, and what is escaped


def row_id(pk: int) -> str:
    return f"agent-{pk}"
