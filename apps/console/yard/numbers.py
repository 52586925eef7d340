"""The six numbers at the top of the yard, and the strip of figures below them."""

from apps.console import display, groups, links
from apps.console.agents.rows import HIGH_WAIT_PCT, is_met
from apps.console.moment import Moment
from apps.console.regions import WINDOW_WORDS, View
from apps.console.spending.numbers import cost
from apps.console.tiles import Number
from apps.fleet.models import LIVE, UNSTARTED
from apps.telemetry.snapshot import Snapshot, Totals

STEADY_PCT = 3.0
NO_SAMPLES = "no samples yet"
TOKENS = "All tokens that agents measured (OTLP) in this span, read from a cache or not, and what they cost"


def numbers(view: View, moment: Moment) -> list[Number]:
    snapshot = moment.snapshot(view.window)
    span = WINDOW_WORDS[view.window_word]
    return [
        agents(moment),
        throughput(snapshot, span),
        latency(snapshot, moment.p95_target),
        lock_wait(snapshot, span),
        memory(moment, snapshot),
        errors(snapshot, span),
    ]


def strip(view: View, moment: Moment) -> list[Number]:
    snapshot = moment.snapshot(view.window)
    totals = snapshot.totals if snapshot else None
    return [
        groups.concurrency(totals),
        groups.coordination(totals),
        groups.balance(totals),
        groups.scaling(totals),
        used(totals, WINDOW_WORDS[view.window_word]),
        cost(moment.ledger.whole, "of open waves", links.SPENDING),
    ]


def used(totals: Totals | None, span: str) -> Number:
    """Tokens in the span: how fast money goes."""
    tokens, price = (totals.tokens, totals.cost_usd) if totals else (None, None)
    if tokens is None:
        return Number("Tokens", links.SPENDING, display.NONE, "", f"none measured in {span}", means=TOKENS)
    note = f"{display.money(price)} in {span}" if price is not None else f"in {span}"
    return Number("Tokens", links.SPENDING, display.tokens(tokens), "", note, means=TOKENS)


def agents(moment: Moment) -> Number:
    counts = moment.totals
    live = sum(counts[state] for state in LIVE)
    notes = [
        f"{display.number(counts[state])} {word}"
        for state, word in (
            ("waiting", "waiting"),
            ("failed", "failed"),
            ("lost", "lost"),
            ("paused", "paused"),
        )
        if counts[state]
    ]
    unstarted = sum(counts[state] for state in UNSTARTED)
    if unstarted:
        notes.append(f"{display.number(unstarted)} to start")
    tone = "note-bad" if counts["waiting"] or counts["failed"] or counts["lost"] else ""
    note = " · ".join(notes[:2]) or ("none waits" if live else "none runs")
    return Number(
        "Agents", links.AGENTS, display.number(counts["busy"]), f"of {display.number(live)} busy", note, tone
    )


def throughput(snapshot: Snapshot | None, span: str) -> Number:
    href = links.agents_by("throughput")
    if snapshot is None or not snapshot.totals.operations:
        return Number("Throughput", href, display.NONE, "op/s", NO_SAMPLES)
    totals = snapshot.totals
    before = versus_before(totals.throughput, totals.throughput_before, span)
    note = before or f"{display.number(totals.operations)} in {span}"
    return Number("Throughput", href, display.rate(totals.throughput), "op/s", note)


def versus_before(now: float, before: float | None, span: str) -> str:
    """The window against the equally long period before it; empty where there is nothing to compare with."""
    if not before:
        return ""
    change = (now / before - 1) * 100
    if abs(change) < STEADY_PCT:
        return f"as in the {span} before"
    return f"{change:+.0f} % on the {span} before".replace("-", "−")


def latency(snapshot: Snapshot | None, target: float | None) -> Number:
    href = links.agents_by("p95")
    p95 = snapshot.totals.p95 if snapshot else None
    if p95 is None:
        return Number("Latency p95", href, display.NONE, "ms", NO_SAMPLES)
    met = is_met(p95, target)
    mean = f"mean {display.milliseconds(snapshot.totals.mean if snapshot else None)}"
    note = mean if target is None else f"target {target:g} {'met' if met else 'missed'} · {mean}"
    return Number("Latency p95", href, display.milliseconds(p95), "ms", note, "" if met else "bad")


def lock_wait(snapshot: Snapshot | None, span: str) -> Number:
    href = links.agents_by("wait")
    share = snapshot.totals.wait_pct if snapshot else None
    if snapshot is None or share is None:
        return Number("Lock wait", href, display.NONE, "%", NO_SAMPLES)
    kinds = {kind: sum(values) for kind, values in snapshot.charts.wait.items()}
    most = max(kinds, key=lambda kind: kinds[kind], default="")
    note = f"most for {most}" if most and kinds[most] > 0 else f"of operation time · {span}"
    return Number(
        "Lock wait", href, display.percent(share), "%", note, "high" if share >= HIGH_WAIT_PCT else ""
    )


def memory(moment: Moment, snapshot: Snapshot | None) -> Number:
    admission = moment.admission
    value, unit = display.size(admission.used)
    if admission.limit is None:
        return Number("Memory", links.HOSTS, value, unit, "no host reports yet")
    note = f"of {display.size_text(admission.limit)} · admission {'open' if admission.is_open else 'closed'}"
    return Number("Memory", links.HOSTS, value, unit, note, "" if admission.is_open else "bad")


def errors(snapshot: Snapshot | None, span: str) -> Number:
    href = links.agents_by("errors")
    if snapshot is None or not snapshot.totals.operations:
        return Number("Errors", href, display.NONE, "%", NO_SAMPLES)
    totals = snapshot.totals
    share = totals.errors / totals.operations * 100
    note = f"{display.number(totals.errors)} of {display.number(totals.operations)} · {span}"
    return Number(
        "Errors", href, display.percent(share), "%", note, "bad" if share > groups.HIGH_ERROR_PCT else ""
    )
