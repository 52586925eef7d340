"""The windows that snapshots cover, and how finely each is looked at."""

from dataclasses import dataclass

from apps.telemetry.domain.series import LENGTHS, SECOND, SPAN, TEN, ceil_to

SPARKLINE_POINTS = 24
SPARE_SECONDS = 2  # by which a snapshot may be late


@dataclass(frozen=True)
class Window:
    """`step`: width of the tallies it is made of. `point`: width of a chart's point. `every`: seconds between
    two snapshots while somebody looks, `seldom`: while nobody does. All in seconds."""

    seconds: int
    step: int
    point: int
    every: int
    seldom: int

    def start(self, end: int) -> int:
        """Where the window that ends at this second starts: a multiple of `step`."""
        return ceil_to(end - self.seconds, self.step)

    def leaving(self, end: int) -> tuple[int, int]:
        """From which second to before which one they leave the window that ends there, until its next snapshot comes.
        None of a coarse window: what that is made of leaves with a snapshot."""
        start = self.start(end)
        return start, start + (self.seldom + SPARE_SECONDS if self.step == SECOND else 0)

    @property
    def before_step(self) -> int | None:
        """Width of the finest tallies that still reach over the equally long period before this window; None
        where none do."""
        reaching = (step for step, length in LENGTHS.items() if step * length >= 2 * self.seconds + step)
        return next(reaching, None)


WINDOWS = {
    window.seconds: window
    for window in (
        Window(60, SECOND, point=1, every=1, seldom=5),
        Window(300, SECOND, point=5, every=5, seldom=15),
        Window(3_600, TEN, point=30, every=15, seldom=60),
        Window(86_400, SPAN, point=300, every=60, seldom=60),
    )
}
