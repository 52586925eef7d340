"""One build over time: its wait for a slot, its waits for locks, its run, as bars of one line of time."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from apps.builds.domain.lock_waits import LockKind
from apps.builds.models import Build, BuildState, LockWait, OngoingWait
from apps.console import display, links
from apps.console.builds.rows import NOBODY, kind_word, took_text, who_of
from apps.lib.text import plain_text

RUN_WORDS = {BuildState.RUNNING: "runs", BuildState.LOST: "ran at most"}
MOST_WAITS = 100
LEAST_TOLD = 0.001  # seconds of waiting that are worth a word
LEAST_WIDTH = 0.4  # percent: what is short is still seen


@dataclass(frozen=True, slots=True)
class Holder:
    """For whom somebody waited, and the page of that build."""

    word: str
    href: str = ""


@dataclass(frozen=True, slots=True)
class Bar:
    """`left` and `width` in percent of the whole time."""

    word: str
    tone: str
    left: str
    width: str
    took: str
    at: datetime
    path: str = ""
    holder: Holder | None = None


@dataclass(frozen=True, slots=True)
class Span:
    begin: datetime
    end: datetime

    def bar(self, word: str, tone: str, begin: datetime, end: datetime, **more: object) -> Bar:
        whole = max((self.end - self.begin).total_seconds(), 1e-6)
        left = min(max(0.0, 100 * (begin - self.begin).total_seconds() / whole), 100 - LEAST_WIDTH)
        width = max(LEAST_WIDTH, min(100 - left, 100 * (end - begin).total_seconds() / whole))
        took = took_text((end - begin).total_seconds())
        return Bar(word, tone, f"{left:.2f}", f"{width:.2f}", took, begin, **more)  # type: ignore[arg-type]


def bars_of(build: Build, waits: list[LockWait], now: datetime) -> list[Bar]:
    """In the order in which they began."""
    end = ended(build, waits, now)
    span = Span(build.asked_at, end)
    found = [wait_bar(span, wait) for wait in waits]
    knows_slot = any(wait.kind == LockKind.SLOT for wait in waits)
    if build.began_at is None:
        found.append(span.bar("waits for a slot", "slot", build.asked_at, end))
    elif not knows_slot and build.slot_wait_ms >= 1:
        found.append(span.bar("build slot", "slot", build.asked_at, build.began_at))
    if build.began_at is not None:
        word = RUN_WORDS.get(BuildState(build.state), "ran")
        found.append(span.bar(word, "run", build.began_at, max(end, build.began_at)))
    return sorted(found, key=lambda bar: (bar.at, bar.tone != "slot"))


def ended(build: Build, waits: list[LockWait], now: datetime) -> datetime:
    """Where its line of time ends. Nobody knows more of a lost one than when it was missed."""
    last = build.ended_at or now
    return max([last, build.asked_at, *(wait.began_at + timedelta(milliseconds=wait.ms) for wait in waits)])


def wait_bar(span: Span, wait: LockWait) -> Bar:
    until = wait.began_at + timedelta(milliseconds=wait.ms)
    tone = "slot" if wait.kind == LockKind.SLOT else "lock"
    path = plain_text(wait.path, 300)
    return span.bar(kind_word(wait.kind), tone, wait.began_at, until, path=path, holder=holder_of(wait))


def holder_of(wait: LockWait | OngoingWait) -> Holder:
    if wait.holder is not None:
        return Holder(plain_text(who_of(wait.holder), 80), links.build(wait.holder_id or 0))
    return Holder(f"process {wait.holder_pid}, which is no build" if wait.holder_pid else NOBODY)


def end_words(build: Build) -> str:
    """What is said beside its state where that needs a word more."""
    if build.state == BuildState.LOST:
        return "Its processes were gone without a word: it was killed together with its shim, or the machine went down."
    if build.state == BuildState.WAITING:
        return "The host runs as many builds as it has slots for."
    waited = (build.slot_wait_ms + build.lock_wait_ms) / 1000
    if build.ended_at is None or waited < LEAST_TOLD:
        return ""
    whole = max(waited, (build.ended_at - build.asked_at).total_seconds())
    return f"{took_text(whole)} in all, of which it waited {display.percent(100 * waited / whole)} %."
