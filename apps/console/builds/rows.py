"""One build as a line of a table, and the words for what builds wait for."""

from dataclasses import dataclass
from datetime import datetime

from apps.builds.domain.lock_waits import LockKind
from apps.builds.domain.words import exit_words
from apps.builds.models import OPEN, Build, BuildState
from apps.console import display, links
from apps.lib.text import plain_text

# state -> sign, tone, word. A word stands beside each sign: colour says nothing alone.
SIGNS = {
    BuildState.WAITING: ("◐", "warn", "waits for a slot"),
    BuildState.RUNNING: ("●", "good", "under way"),
    BuildState.PASSED: ("✓", "quiet", "passed"),
    BuildState.FAILED: ("✕", "bad", "failed"),
    BuildState.KILLED: ("■", "warn", "killed"),
    BuildState.LOST: ("?", "bad", "lost"),
}
KINDS = {
    LockKind.BUILD_DIRECTORY: "build directory",
    LockKind.ARTIFACT_DIRECTORY: "artifact directory",
    LockKind.PACKAGE_CACHE: "package cache",
    LockKind.SLOT: "build slot",
    LockKind.GIT: "git",
    LockKind.OTHER: "other lock",
}
LONG_WAIT_MS = 1000.0
NOBODY = "not known"
ROW_FIELDS = (
    "pk", "who", "tool", "mode", "arguments", "state", "asked_at", "began_at", "ended_at", "exit_code",
    "slot_wait_ms", "lock_wait_ms", "memory_bytes", "agent__name", "agent__id",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class WaitNow:
    """A wait for a lock of a file that goes on."""

    kind: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Line:
    """`took`: empty while it runs; then `began_at` says since when. `waits_since`: where it waits now."""

    href: str
    who: str
    who_href: str
    what: str
    whole: str
    mode: str
    sign: str
    tone: str
    state: str
    how: str
    waited: str
    waits: str
    wait_tone: str
    waits_since: datetime | None
    took: str
    memory: str
    asked_at: datetime
    began_at: datetime | None
    is_open: bool


def line_of(build: Build, wait: WaitNow | None = None) -> Line:
    """`wait`: what it waits for now."""
    sign, tone, word = SIGNS[BuildState(build.state)]
    if wait is not None:
        sign, tone, word = "◐", lock_tone(wait.kind), f"waits for {kind_word(wait.kind)}"
    waited = build.slot_wait_ms + build.lock_wait_ms
    is_waiting = build.state == BuildState.WAITING
    return Line(
        href=links.build(build.pk),
        who=plain_text(who_of(build), 80),
        who_href=links.agent(build.agent_id) if build.agent_id else "",
        what=what_of(build),
        whole=plain_text(f"{build.tool} {build.arguments}", 500),
        mode=plain_text(build.mode, 20),
        sign=sign,
        tone=tone,
        state=word,
        how=exit_words(build.exit_code) if build.state in (BuildState.FAILED, BuildState.KILLED) else "",
        waited=display.NONE if is_waiting else took_text(waited / 1000),
        waits=waits_text(build),
        wait_tone="high" if waited >= LONG_WAIT_MS else "",
        waits_since=build.asked_at if is_waiting else wait.since if wait else None,
        took=took_text(seconds_of(build)),
        memory=display.size_text(build.memory_bytes) if build.memory_bytes else display.NONE,
        asked_at=build.asked_at,
        began_at=build.began_at,
        is_open=build.state in OPEN,
    )


def what_of(build: Build) -> str:
    return plain_text(f"{build.tool} {build.arguments}", 90)


def who_of(build: Build) -> str:
    return build.agent.name if build.agent else build.who or NOBODY


def seconds_of(build: Build) -> float | None:
    """From its slot to its end; None while it isn't over, and for one that was lost: nobody saw when it ended."""
    if build.began_at is None or build.ended_at is None or build.state == BuildState.LOST:
        return None
    return max(0.0, (build.ended_at - build.began_at).total_seconds())


def waits_text(build: Build) -> str:
    """As in "slot 1.2 s, locks 30 ms"; empty where it waited for nothing."""
    parts = (("slot", build.slot_wait_ms), ("locks", build.lock_wait_ms))
    return ", ".join(f"{word} {took_text(ms / 1000)}" for word, ms in parts if ms >= 1)


def took_text(seconds: float | None) -> str:
    """As in 0, 340 ms, 3.4 s, 42 s, 3 min."""
    if seconds is None:
        return display.NONE
    if seconds < 0.001:
        return "0"
    if seconds < 1:
        return f"{seconds * 1000:.0f}{display.NARROW}ms"
    return f"{seconds:.1f}{display.NARROW}s" if seconds < 10 else display.duration(seconds)


def lock_tone(kind: str) -> str:
    """Nobody should ever wait for a build directory."""
    return "bad" if kind == LockKind.BUILD_DIRECTORY else "warn"


def kind_word(kind: str) -> str:
    return KINDS[LockKind(kind)] if kind in list(LockKind) else kind
