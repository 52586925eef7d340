"""How far a wave is."""

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """Members by what became of them: who was stopped isn't `exited`, see `outcome_of`. `eta_seconds` is None until
    enough have ended to tell."""

    planned: int
    preparing: int
    ready: int
    starting: int
    running: int
    waiting: int
    paused: int
    exited: int
    stopped: int
    failed: int
    lost: int
    eta_seconds: float | None = None

    @property
    def total(self) -> int:
        live = self.starting + self.running + self.waiting + self.paused
        return self.planned + self.preparing + self.ready + live + self.ended

    @property
    def ended(self) -> int:
        return self.exited + self.stopped + self.failed + self.lost

    @property
    def live(self) -> int:
        return self.starting + self.running + self.waiting + self.paused


ENDED = ("exited", "stopped", "failed", "lost")
RUNNING = ("busy", "idle", "stopping")


def progress_of(outcomes: dict[str, int], *, elapsed: float | None = None) -> Progress:
    """`outcomes` counts members by outcome; `elapsed` is seconds since the wave began."""
    counts = Counter(outcomes)
    ended = sum(counts[outcome] for outcome in ENDED)
    open_ = sum(counts.values()) - ended
    eta = elapsed / ended * open_ if elapsed is not None and ended >= 2 and open_ else None
    return Progress(
        planned=counts["planned"],
        preparing=counts["preparing"],
        ready=counts["ready"],
        starting=counts["starting"],
        running=sum(counts[state] for state in RUNNING),
        waiting=counts["waiting"],
        paused=counts["paused"],
        exited=counts["exited"],
        stopped=counts["stopped"],
        failed=counts["failed"],
        lost=counts["lost"],
        eta_seconds=eta,
    )
