"""The highest rate at which a server still answers in time, found step by step."""

from collections.abc import Callable
from dataclasses import dataclass

from load import Outcome

P95_MS = 10.0
SIZE = 20  # samples a frame: the smallest that the goal speaks of
FULL = 256  # what an agent sends in each quarter of a second that has a thousand
FASTER = 1.5


@dataclass(frozen=True, slots=True)
class Step:
    """What came of one rate. `cores`: of each process of the server."""

    frames_per_s: float
    outcome: Outcome
    cores: dict[str, float]

    @property
    def held(self) -> bool:
        done = self.outcome.acked / max(self.outcome.answered_seconds, 0.001)
        return self.outcome.p(0.95) < P95_MS and not self.outcome.errors and done > 0.97 * self.frames_per_s

    def per_core(self, size: int) -> float:
        """Samples that one core takes in a second."""
        return self.outcome.acked * size / self.outcome.seconds / max(sum(self.cores.values()), 0.001)

    def __str__(self) -> str:
        verdict = "held" if self.held else "not held"
        return f"{self.frames_per_s:7.0f}/s, p95 {self.outcome.p(0.95):6.1f} ms, {verdict}; cores {words(self.cores)}"


def climb(step: Callable[[float], Step], start: float) -> Step:
    """The last step that held, each half as fast again as the one before; then half of the way to the first that
    didn't. A start that doesn't hold goes down instead."""
    best = step(start)
    if not best.held:
        while not best.held and best.frames_per_s > start / 20:
            above = best
            best = step(best.frames_per_s / FASTER)
    else:
        while (above := step(best.frames_per_s * FASTER)).held:
            best = above
    between = step((best.frames_per_s + above.frames_per_s) / 2)
    return between if between.held else best


def cores_between(before: dict[str, float], after: dict[str, float], seconds: float) -> dict[str, float]:
    return {name: (after[name] - used) / seconds for name, used in before.items()}


def words(cores: dict[str, float]) -> str:
    return ", ".join(f"{name} {share:.2f}" for name, share in cores.items())
