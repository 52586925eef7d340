"""What one scrape answers: readings by metric. What isn't known is left out; a zero is always a measured one."""

from collections.abc import Iterator, Sequence

from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from apps.exposition.metrics import Metric


class Page(Collector):
    def __init__(self) -> None:
        self._families: dict[str, Family] = {}

    def put(self, metric: Metric, value: float | None, *labels: str) -> None:
        """`labels`: values in the metric's own order. Without a value the reading isn't there."""
        if value is not None:
            self._family(metric).add_sample(metric.name, self._labels(metric, labels), value)

    def put_histogram(
        self, metric: Metric, bounds: Sequence[float], counts: Sequence[int], total: float, *labels: str
    ) -> None:
        """`counts`: how many values are at or below each bound, and last of all how many there are. `total`: their
        sum. A histogram of nothing isn't there."""
        if not counts[-1]:
            return
        family, own = self._family(metric), self._labels(metric, labels)
        for bound, count in zip([*map(floatToGoString, bounds), "+Inf"], counts, strict=True):
            family.add_sample(f"{metric.name}_bucket", {**own, "le": bound}, count)
        family.add_sample(f"{metric.name}_sum", own, total)
        family.add_sample(f"{metric.name}_count", own, counts[-1])

    def collect(self) -> Iterator[Family]:
        yield from self._families.values()

    def _family(self, metric: Metric) -> Family:
        known = self._families.get(metric.name)
        if known is None:
            known = Family(metric.family, metric.help, metric.kind, metric.unit)
            self._families[metric.name] = known
        return known

    @staticmethod
    def _labels(metric: Metric, values: tuple[str, ...]) -> dict[str, str]:
        return dict(zip(metric.labels, values, strict=True))
