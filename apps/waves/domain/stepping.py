"""What a wave does next: which agents to prepare, which to let start, and whether it is over."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from apps.fleet.domain.outcome import was_stopped

UNSTARTED = {"planned", "preparing", "ready"}
ENDED = {"exited", "failed", "lost"}
PREPARE_AHEAD = 60  # agents that are prepared before their step's turn comes
GATE_FAILURES = 0.5  # a step of which more than this share is ill pauses its wave
AT_ONCE_SECONDS = 5.0  # an agent that fails this soon after its first heartbeat can't work: its step is ill


@dataclass(frozen=True, slots=True)
class Place:
    """One member of a wave. `released`: it is wanted running. `seen`: it gave its first heartbeat. `fell_at_once`: it
    failed or was lost right after that. `asked_to_end`: an operator or the wave wants it to end."""

    pk: int
    step: int
    state: str
    released: bool
    seen: bool
    returning: bool = False  # ended, but will be started again
    asked_to_end: bool = False
    fell_at_once: bool = False

    @property
    def is_over(self) -> bool:
        return self.state in ENDED and not self.returning

    @property
    def is_settled(self) -> bool:
        """Whether the next step need not wait for it any more."""
        return self.seen or self.state in ENDED

    @property
    def is_ill(self) -> bool:
        """Whether it never came up, or failed as soon as it had."""
        return self.state in {"failed", "lost"} and (not self.seen or self.fell_at_once)

    @property
    def must_be_ended(self) -> bool:
        """Whether somebody who wants all of the wave to end has something to do about it."""
        if self.state in UNSTARTED or self.returning:
            return True
        return self.state not in ENDED and not self.asked_to_end


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the members of a wave ended. `stopped`: because somebody asked for it."""

    well: int
    stopped: int
    failed: int
    lost: int

    def __str__(self) -> str:
        return f"{self.well} ended well, {self.stopped} stopped, {self.failed} failed, {self.lost} lost"


@dataclass(frozen=True, slots=True)
class Next:
    release: list[int] = field(default_factory=list)
    pause: str = ""  # reason for the wave to pause itself
    waiting_for: str = ""


def fell_at_once(seconds: float) -> bool:
    """Whether an agent failed at once, that failed so long after its first heartbeat."""
    return seconds < AT_ONCE_SECONDS


def to_prepare(places: Sequence[Place], step_size: int) -> list[int]:
    """Planned members, in order, as far as the work ahead of the steps allows."""
    ahead = max(PREPARE_AHEAD, 2 * step_size)
    under_way = sum(place.state in {"preparing", "ready"} and not place.released for place in places)
    planned = [place.pk for place in places if place.state == "planned"]
    return planned[: max(0, ahead - under_way)]


def current_step(places: Sequence[Place]) -> int | None:
    """The lowest step with a member that was not let start yet."""
    return min(
        (place.step for place in places if place.state in UNSTARTED and not place.released), default=None
    )


def gate(places: Sequence[Place], step: int, passed: int) -> tuple[bool, str]:
    """Whether `step` may start by the health of those before it, and what is wrong if they are ill.

    Steps up to `passed` were let through by a person.
    """
    before = [place for place in places if place.step < step]
    last = [place for place in before if place.step == step - 1]
    ill = sum(place.is_ill for place in last)
    if step > passed and last and ill / len(last) > GATE_FAILURES:
        return False, (
            f"step {step} failed its health gate: {ill} of {len(last)} agents never came up or failed at once"
        )
    return all(place.is_settled for place in before), ""


def to_release(
    places: Sequence[Place], *, since_step_ms: float | None, pause_ms: int, gate_passed: int = 0
) -> Next:
    """Members that may start now, in order, before admission has its say."""
    step = current_step(places)
    if step is None:
        return Next()
    opened = any(place.step == step and (place.released or place.state not in UNSTARTED) for place in places)
    if not opened:
        passed, illness = gate(places, step, gate_passed)
        if illness:
            return Next(pause=illness)
        if not passed:
            return Next(waiting_for=f"step {step} to come up")
        if since_step_ms is not None and since_step_ms < pause_ms:
            return Next(waiting_for="the pause between steps")
    ready = [
        place.pk for place in places if place.step == step and place.state == "ready" and not place.released
    ]
    return Next(release=ready, waiting_for="" if ready else "workspaces being prepared")


def final_state(places: Sequence[Place], *, aborting: bool) -> str:
    """The wave's final state when every member is over, else ""."""
    if not all(place.is_over for place in places):
        return ""
    if aborting:
        return "aborted"
    result = outcome(places)
    return "failed" if result.failed + result.lost > result.well else "done"


def outcome(places: Sequence[Place]) -> Outcome:
    exited = sum(place.state == "exited" for place in places)
    stopped = sum(was_stopped(place.state, asked=place.asked_to_end) for place in places)
    return Outcome(
        well=exited - stopped,
        stopped=stopped,
        failed=sum(place.state == "failed" for place in places),
        lost=sum(place.state == "lost" for place in places),
    )


def steps_of(count: int, step_size: int, *, first: int = 0) -> list[int]:
    """The step number of each of `count` members; `step_size` 0 puts all in one."""
    size = step_size or max(count, 1)
    return [first + index // size for index in range(count)]
