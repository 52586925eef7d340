"""By which moment rows are old enough to be deleted: a clock that is ahead for a moment must not take history along."""

AHEAD_SECONDS = 60.0  # by which a clock may get ahead between two looks
LASTING_SECONDS = 3600.0  # for which a step ahead is doubted


class DeletionClock:
    """Follows another clock, but a step ahead only when that has lasted: until then it goes on as it went before.
    A step back is followed at once, as it deletes less."""

    def __init__(self) -> None:
        self._at: float | None = None
        self._steady = 0.0
        self._doubted_at: float | None = None

    def begin(self, at: float, steady: float) -> None:
        """From which moment to go on (`at`, unix seconds); only the first one counts. `steady`: seconds of a clock that
        never jumps, as everywhere here."""
        if self._at is None:
            self._at, self._steady = at, steady

    def moment(self, now: float, steady: float) -> float:
        """In unix seconds. To be asked every minute or so."""
        self.begin(now, steady)
        expected = (self._at or now) + steady - self._steady
        if now <= expected + AHEAD_SECONDS or self._has_lasted(steady):
            self._at, self._doubted_at = now, None
        else:
            self._at = expected
            self._doubted_at = steady if self._doubted_at is None else self._doubted_at
        self._steady = steady
        return self._at

    def _has_lasted(self, steady: float) -> bool:
        return self._doubted_at is not None and steady - self._doubted_at >= LASTING_SECONDS
