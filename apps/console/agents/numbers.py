"""The numbers at the top of an agent's page."""

from apps.console import display
from apps.console.agents.rows import HIGH_MEMORY_PCT, HIGH_WAIT_PCT, is_met
from apps.console.moment import Moment
from apps.console.regions import WINDOW_WORDS, View
from apps.console.spending.numbers import cost
from apps.console.tiles import Number
from apps.fleet.models import Agent
from apps.telemetry.snapshot import AgentFigures

NO_SAMPLES = "no samples in this span"


def numbers_of(agent: Agent, view: View, moment: Moment) -> list[Number]:
    snapshot = moment.snapshot(view.window)
    figures = snapshot.agents.get(agent.pk) if snapshot else None
    span = WINDOW_WORDS[view.window_word]
    return [
        operations(figures, span),
        latency(figures, moment.p95_target),
        lock_wait(figures),
        memory(agent, figures),
        errors(figures),
        cost(moment.spending(agent)),
    ]


def operations(figures: AgentFigures | None, span: str) -> Number:
    if figures is None or not figures.operations:
        return Number("Throughput", "", display.NONE, "op/s", NO_SAMPLES)
    return Number(
        "Throughput",
        "",
        display.rate(figures.throughput),
        "op/s",
        f"{display.number(figures.operations)} in {span}",
    )


def latency(figures: AgentFigures | None, target: float | None) -> Number:
    if figures is None or figures.p95 is None:
        return Number("Latency p95", "", display.NONE, "ms", NO_SAMPLES)
    others = (("p50", figures.p50), ("p99", figures.p99), ("max", figures.max))
    note = " · ".join(f"{word} {display.milliseconds(value)}" for word, value in others)
    tone = "" if is_met(figures.p95, target) else "bad"
    return Number("Latency p95", "", display.milliseconds(figures.p95), "ms", note, tone)


def lock_wait(figures: AgentFigures | None) -> Number:
    share = figures.wait_pct if figures else None
    if figures is None or share is None:
        return Number("Lock wait", "", display.NONE, "%", NO_SAMPLES)
    note = f"{display.duration(figures.wait_ms / 1000)} of operation time"
    return Number(
        "Lock wait", "", display.percent(share), "%", note, "high" if share >= HIGH_WAIT_PCT else ""
    )


def memory(agent: Agent, figures: AgentFigures | None) -> Number:
    used = (figures.memory if figures else 0) or agent.memory_bytes or 0
    budget = agent.memory_budget_mb * display.MB
    value, unit = display.size(used if agent.is_live else None)
    high = agent.is_live and display.share(used, budget) >= HIGH_MEMORY_PCT
    processes = (
        f" · {display.plural(agent.processes, 'process')}".replace("processs", "processes")
        if agent.processes
        else ""
    )
    return Number(
        "Memory", "", value, unit, f"of {display.size_text(budget)}{processes}", "bad" if high else ""
    )


def errors(figures: AgentFigures | None) -> Number:
    if figures is None or not figures.operations:
        return Number("Errors", "", display.NONE, "", NO_SAMPLES)
    induced = f" · {display.number(figures.induced)} on purpose" if figures.induced else ""
    note = f"of {display.number(figures.operations)} operations{induced}"
    return Number("Errors", "", display.number(figures.errors), "", note, "bad" if figures.errors else "")
