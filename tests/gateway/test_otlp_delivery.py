"""Whatever was exported is counted exactly once, whatever is killed meanwhile."""

import threading
import time

import pytest

from apps.telemetry import measure_rows
from apps.telemetry.models import RollupMeasure
from tests.gateway.exports import DELTA, a_sum, export, metrics
from tests.gateway.processes import GatewayProcess, wait_until
from tests.gateway.test_delivery import publishing
from tests.telemetry.factories import measured_totals

pytestmark = pytest.mark.django_db(transaction=True)

STARTED = 1_800_000_000


class Exporter(threading.Thread):
    """An SDK under load: exports a delta and a running total, and sends both again until they are taken."""

    def __init__(self, gateway: GatewayProcess, token: str) -> None:
        super().__init__(daemon=True)
        self.gateway, self.token = gateway, token
        self.exported = 0
        self.trouble = 0
        self.stopping = threading.Event()

    def run(self) -> None:
        while not self.stopping.is_set():
            turn = self.exported + 1
            delta = a_sum("deltas", 3, time_s=STARTED + turn, temporality=DELTA)
            request = metrics(delta, a_sum("totals", 5 * turn, time_s=STARTED + turn))
            while not self._taken(request):
                self.trouble += 1
                time.sleep(0.05)
            self.exported = turn

    def _taken(self, request) -> bool:
        try:
            return export(self.gateway, self.token, request).status == 200
        except OSError:
            return False


def progress(exporters: list[Exporter]) -> None:
    before = [each.exported for each in exporters]
    wait_until(
        lambda: all(each.exported > seen for each, seen in zip(exporters, before, strict=True)),
        seconds=40,
        what="every exporter gets on",
    )


def test_nothing_is_lost_or_counted_twice(transactional_db, redis_server, make_agent):
    gateway = GatewayProcess(redis_server.url)
    telemetry = publishing(redis_server.url)
    agents = [make_agent() for _ in range(2)]
    exporters = [Exporter(gateway, token) for _, token in agents]
    for exporter in exporters:
        exporter.start()
    try:
        progress(exporters)

        redis_server.kill()
        wait_until(lambda: all(exporter.trouble for exporter in exporters), seconds=40, what="they notice")
        redis_server.start()
        progress(exporters)

        telemetry.kill()
        progress(exporters)
        telemetry = publishing(redis_server.url)

        gateway.kill()
        gateway = GatewayProcess(redis_server.url, port=gateway.port)
        progress(exporters)

        for exporter in exporters:
            exporter.stopping.set()
        for exporter in exporters:
            exporter.join(timeout=40)
            assert not exporter.is_alive()
        assert telemetry.terminate() == 0, telemetry.output()
    finally:
        gateway.kill()
        telemetry.kill()

    for (agent, _), exporter in zip(agents, exporters, strict=True):
        found = measured_totals(agent.pk)
        assert (found["deltas"].amount, found["totals"].amount) == (
            3 * exporter.exported,
            5 * exporter.exported,
        )
        for resolution in measure_rows.KEPT_SECONDS:
            kept = RollupMeasure.objects.filter(resolution=resolution, agent=agent.pk, name="deltas")
            assert sum(kept.values_list("amount", flat=True)) == 3 * exporter.exported
