class CheckpointMoved(Exception):
    """The checkpoint isn't where this process left it: another one writes, or a commit went through after
    all. Nothing was written; what to do is to start again from the rows."""


class ClockWentBack(Exception):
    """Redis' clock was put back, so what is known of the moments that are to come again is of no use. What to do is to
    start again from the rows."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"Redis' clock was put back by {seconds:.0f} s")
