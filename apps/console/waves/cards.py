"""A wave in brief: what it runs, how far it is, what can be done to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.template import Context, Template
from django.template.loader import get_template
from django.utils.safestring import SafeString

from apps.console import display, links
from apps.console.spending.numbers import price_or_tokens, token_words
from apps.fleet.domain.spending import NOTHING_TOLD, Spending
from apps.lib.text import plain_text
from apps.waves.domain.progress import Progress
from apps.waves.models import Wave, WaveState
from apps.waves.queries import progress_of_all

VERBS = ("pause", "resume", "retry", "scale", "abort")


@dataclass(frozen=True, slots=True)
class Segment:
    """One piece of a progress bar. `share` is percent of all agents."""

    word: str
    tone: str
    count: int
    share: float


def segments(progress: Progress) -> list[Segment]:
    pieces = (
        ("ended well", "good", progress.exited),
        ("stopped", "stopped", progress.stopped),
        ("running", "run", progress.running + progress.starting),
        ("paused", "warn", progress.paused),
        ("waiting for input", "wait", progress.waiting),
        ("failed or lost", "bad", progress.failed + progress.lost),
    )
    total = progress.total or 1
    return [
        Segment(word, tone, count, round(count / total * 100, 2)) for word, tone, count in pieces if count
    ]


def progress_words(wave: Wave, progress: Progress) -> str:
    """How far it is and how long it takes, in a line."""
    done = f"{progress.ended} of {progress.total} ended"
    if wave.state == WaveState.PAUSED:
        return (
            f"{done}, paused {plain_text(wave.reason, 80) if wave.reason.startswith('by ') else ''}".strip()
        )
    if wave.state == WaveState.ABORTING:
        return f"{done}, stopping the others"
    if progress.eta_seconds is not None:
        return f"{done}, {display.duration(progress.eta_seconds)} left"
    if progress.live and not progress.ended:
        return f"{progress.live} of {progress.total} up"
    return done


def ended_words(progress: Progress) -> str:
    """As in "5 of 8 ended well, 3 stopped"."""
    stopped = f", {progress.stopped} stopped" if progress.stopped else ""
    return f"{progress.exited} of {progress.total} ended well{stopped}"


def note_of(wave: Wave) -> str:
    """Why it doesn't go on, where it should."""
    if wave.state == WaveState.PAUSED and not wave.reason.startswith("by "):
        return f"held: {plain_text(wave.reason, 200)}"
    return f"waits for {plain_text(wave.waiting_for, 200)}" if wave.waiting_for else ""


def bar_words(progress: Progress) -> str:
    """The bar for those who can't see it."""
    said = ", ".join(f"{segment.count} {segment.word}" for segment in segments(progress))
    return said or f"{progress.total} to start"


@cache
def head_template() -> Template:
    return get_template("console/waves/head.html").template  # type: ignore[attr-defined]


def head_context(wave: Wave, progress: Progress, acts: bool, spending: Spending) -> dict[str, Any]:
    sign, tone = display.WAVE_SIGNS[wave.state]
    can_retry = wave.can("retry") and progress.failed + progress.lost > 0
    return {
        "wave": wave,
        "href": links.wave(wave.label),
        "title": plain_text(wave.title, 120),
        "sign": sign,
        "tone": tone,
        "state": wave.state,
        "repository": wave.repository,
        "segments": segments(progress),
        "bar": bar_words(progress),
        "words": progress_words(wave, progress),
        "note": note_of(wave),
        "cost": price_or_tokens(spending) if spending.is_known else "",
        "cost_words": token_words(spending),
        "acts": acts,
        "can": {verb: wave.can(verb) for verb in VERBS} | {"retry": can_retry},
    }


def head_html(wave: Wave, progress: Progress, acts: bool, spending: Spending = NOTHING_TOLD) -> SafeString:
    return head_template().render(Context(head_context(wave, progress, acts, spending)))


def finished_lines(waves: Sequence[Wave]) -> list[dict[str, Any]]:
    all_progress = progress_of_all(waves)
    lines = []
    for wave in waves:
        progress = all_progress[wave.pk]
        sign, tone = display.WAVE_SIGNS[wave.state]
        lines.append(
            {
                "wave": wave,
                "sign": sign,
                "tone": tone,
                "state": wave.state,
                "segments": segments(progress),
                "bar": bar_words(progress),
                "words": ended_words(progress),
            }
        )
    return lines
