"""Totals of groups that began at zero in an existing home are filled up with what its agents did before."""

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from apps.telemetry.domain.packing import packed_with
from apps.telemetry.domain.rolling import HOUR
from apps.telemetry.domain.sketch import Sketch
from apps.telemetry.domain.tally import Tally, tally_of
from apps.telemetry.models import GroupTotal
from tests.telemetry.factories import make_sample

pytestmark = pytest.mark.django_db(transaction=True)
BEFORE = ("telemetry", "0007_model_totals")
START = 1_800_000_000


@pytest.fixture
def before():
    executor = MigrationExecutor(connection)
    executor.migrate([BEFORE])
    yield executor.loader.project_state([BEFORE]).apps
    migrate_to_present()


def migrate_to_present() -> None:
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


def counted(tally: Tally) -> dict[str, float]:
    return {
        "operations": tally.operations,
        "errors": tally.errors,
        "duration_ms": tally.duration_ms,
        "wait_ms": tally.wait_ms,
    }


def work(*durations: float) -> Tally:
    return tally_of([make_sample(ms, wait_ms=1.0) for ms in durations])


def keep_total(apps, agent: int, tally: Tally, group: str = "w1") -> None:
    apps.get_model("telemetry", "AgentTotal").objects.create(
        agent=agent, group=group, role="coder", **counted(tally)
    )


def keep_rollup(apps, agent: int, tally: Tally) -> None:
    apps.get_model("telemetry", "Rollup").objects.create(
        subject=f"agent:{agent}", resolution=HOUR, start=START, cells=packed_with(b"", START, {START: tally})
    )


def keep_group(apps, tally: Tally) -> None:
    apps.get_model("telemetry", "GroupTotal").objects.create(
        group="w1", role="coder", sketch=tally.sketch.to_bytes(), **counted(tally)
    )


def durations(row: GroupTotal) -> Sketch:
    return Sketch.from_bytes(bytes(row.sketch))


def test_it_adds_what_agents_did_before_groups_were_counted(before):
    keep_total(before, 1, work(10.0, 20.0, 30.0))
    keep_total(before, 2, work(1000.0))
    keep_rollup(before, 1, work(10.0, 20.0, 30.0))
    keep_rollup(before, 2, work(1000.0))
    keep_group(before, work(30.0))

    migrate_to_present()

    row = GroupTotal.objects.get()
    assert (row.operations, row.duration_ms, row.wait_ms) == (4, 1060.0, 4.0)
    assert durations(row).count == 4
    assert durations(row).quantiles(1.0) == [pytest.approx(1000.0, rel=0.01)]


def test_what_rollups_have_lost_counts_with_its_mean(before):
    keep_total(before, 1, work(10.0, 20.0, 300.0, 500.0))
    keep_rollup(before, 1, work(10.0, 20.0))

    migrate_to_present()

    row = GroupTotal.objects.get()
    assert (row.group, row.role, row.operations) == ("w1", "coder", 4)
    assert durations(row).count == 4
    assert durations(row).quantiles(1.0) == [pytest.approx(400.0, rel=0.01)]


def test_it_leaves_groups_that_are_whole(before):
    keep_total(before, 1, work(10.0))
    keep_group(before, work(10.0))
    keep_total(before, 2, Tally(), group="w2")

    migrate_to_present()

    row = GroupTotal.objects.get()
    assert (row.group, row.operations, durations(row).count) == ("w1", 1, 1)


def test_it_can_run_again(before):
    keep_total(before, 1, work(10.0, 20.0))
    migrate_to_present()
    MigrationExecutor(connection).migrate([BEFORE])

    migrate_to_present()

    row = GroupTotal.objects.get()
    assert (row.operations, durations(row).count) == (2, 2)
