"""A home with rollups of the first version is brought to the present one, and nothing in it is lost or doubled."""

from importlib import import_module

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from apps.telemetry import history
from apps.telemetry.domain.tally import tally_of
from apps.telemetry.ingest import STREAM
from apps.telemetry.models import Checkpoint, Rollup
from tests.telemetry.factories import make_sample

pytestmark = pytest.mark.django_db(transaction=True)
NOW = 1_800_000_000


@pytest.fixture
def first_version():
    executor = MigrationExecutor(connection)
    executor.migrate([("telemetry", "0001_initial")])
    yield executor.loader.project_state([("telemetry", "0001_initial")]).apps
    migrate_to_present()


def migrate_to_present() -> None:
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


def fill(apps) -> None:
    for agent in (1, 2):
        for resolution, count in ((10, 30), (300, 130)):
            for number in range(count):
                tally = tally_of([make_sample(float(agent * 10 + number), wait_ms=1.0)])
                start = NOW - resolution * (count - number)
                place = {"agent": agent, "resolution": resolution, "start": start}
                apps.get_model("telemetry", "Rollup").objects.create(
                    **place,
                    group=f"w{agent}",
                    role="coder",
                    operations=1,
                    duration_ms=tally.duration_ms,
                    wait_ms=1.0,
                    max_ms=tally.max_ms,
                    sketch=tally.sketch.to_bytes(),
                )
                apps.get_model("telemetry", "RollupWait").objects.create(**place, kind="slot", wait_ms=1.0)


def test_what_was_kept_is_still_read(first_version):
    fill(first_version)

    migrate_to_present()

    Checkpoint.objects.create(stream=STREAM, last_id="0-0", until=NOW)
    for subject, operations in (("agent:1", 130), ("wave:w2", 130), ("role:coder", 260), ("yard", 260)):
        found = history.read(subject, ["operations", "wait_ms"], NOW - 7 * 86_400, NOW, now=NOW)
        assert sum(filter(None, found.lines["operations"])) == operations
        assert sum(filter(None, found.lines["wait_ms"])) == operations
    recent = history.read("agent:2", ["operations"], NOW - 300, NOW, points=30, now=NOW - 1)
    assert sum(filter(None, recent.lines["operations"])) == 30


def test_a_copy_that_was_cut_off_goes_on_where_it_was(first_version, monkeypatch):
    fill(first_version)
    step = import_module("apps.telemetry.migrations.0003_copy_rollups")
    whole, calls = step.copy_times, []

    def fails_at_third(*arguments):
        calls.append(arguments)
        whole(*arguments)
        if len(calls) == 3:
            raise OSError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(step, "copy_times", fails_at_third)
        with pytest.raises(OSError):
            migrate_to_present()

    migrate_to_present()

    for resolution, count in ((10, 30), (300, 130)):
        rows = Rollup.objects.filter(resolution=resolution, subject="yard")
        assert sum(rows.values_list("operations", flat=True)) == 2 * count
