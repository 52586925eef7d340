"""Deleting what is kept no longer, by a clock that survives restarts and doubts steps ahead."""

import time
from typing import cast

import redis

from apps.telemetry import actions
from apps.telemetry.domain.deletion_clock import DeletionClock
from apps.telemetry.domain.live import FORGET_SECONDS
from apps.telemetry.ingest import forget_silent

MOMENT = "yard:deleted-by"  # the moment by which rows were deleted last, in unix seconds


class Retention:
    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self._clock = DeletionClock()

    def begin(self, *, until: float) -> None:
        """Goes on where the process before it ended; `until`, where nothing says where that was."""
        self.client.set(MOMENT, until, nx=True)
        self._clock.begin(float(cast(bytes, self.client.get(MOMENT))), time.monotonic())

    def delete_old(self, now: float) -> None:
        """A bounded number of each kind. Raises Redis' and the database's own errors."""
        moment = self._clock.moment(now, time.monotonic())
        self.client.set(MOMENT, moment)
        actions.delete_old(now=moment)
        forget_silent(before=moment - FORGET_SECONDS)
