"""Counters from figures that may be corrected downwards: Prometheus takes any fall for a new beginning, and would count
all that is there once more."""

import threading

from apps.exposition.metrics import Metric

Series = tuple[str, tuple[str, ...]]

MOST = 20_000  # series that are remembered; who wasn't asked for longest is forgotten first


class Highest:
    """What each series stood at highest since this process began."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._marks: dict[Series, float] = {}

    def with_new(self, metric: Metric, value: float | None, *labels: str) -> float | None:
        """The mark, once `value` counts too; None where there is none now."""
        if value is None:
            return None
        series = metric.name, labels
        with self._lock:
            mark = max(value, self._marks.pop(series, value))
            self._marks[series] = mark  # as the last in order
            if len(self._marks) > MOST:
                del self._marks[next(iter(self._marks))]
        return mark
