"""Copies what older versions kept, time by time, so that it may be cut off anywhere and run again: what was copied is
deleted in the same transaction. Rows by 10 s become what the present version keeps; rows by 300 s stay as fine as they are
and expire."""

from django.db import migrations, transaction

from apps.telemetry.domain.packing import packed_with
from apps.telemetry.domain.sketch import Sketch
from apps.telemetry.domain.subjects import YARD, Labels, of_agent
from apps.telemetry.domain.tally import Tally

TIMES_AT_ONCE = 50


def copy(apps, schema_editor):
    old = apps.get_model("telemetry", "OldRollup").objects
    for resolution in (10, 300):
        while True:
            rows = old.filter(resolution=resolution)
            starts = list(rows.order_by("start").values_list("start", flat=True).distinct()[:TIMES_AT_ONCE])
            if not starts:
                break
            with transaction.atomic():
                copy_times(apps, resolution, starts)


def copy_times(apps, resolution, starts):
    new, old = apps.get_model("telemetry", "Rollup"), apps.get_model("telemetry", "OldRollup")
    waits = {}
    for wait in apps.get_model("telemetry", "OldWait").objects.filter(
        resolution=resolution, start__in=starts
    ):
        waits.setdefault((wait.start, wait.agent), {})[wait.kind] = wait.wait_ms
    found = {}
    rows = old.objects.filter(resolution=resolution, start__in=starts)
    for row in rows.order_by("start", "agent"):
        tally = tally_of(row, waits.get((row.start, row.agent)))
        found[row.start, of_agent(row.agent)] = tally
        for subject in (YARD, *Labels(row.group, row.role).subjects()):
            joint = found.setdefault((row.start, subject), Tally())
            joint.merge_work(tally)
            joint.memory += row.memory
            if subject == YARD:
                joint.add_group(row.group, row.operations)
    new.objects.bulk_create(
        new(
            subject=subject,
            resolution=resolution,
            start=start,
            operations=tally.operations,
            cells=packed_with(b"", start, {start: tally}),
        )
        for (start, subject), tally in found.items()
    )
    rows.delete()


def tally_of(row, waits):
    return Tally(
        operations=row.operations,
        errors=row.errors,
        induced=row.induced,
        duration_ms=row.duration_ms,
        wait_ms=row.wait_ms,
        max_ms=row.max_ms,
        memory=row.memory,
        cpu=row.cpu,
        readings=row.readings,
        waits=waits,
        sketch=Sketch.from_bytes(bytes(row.sketch)),
    )


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("telemetry", "0002_packed_rollups")]
    operations = [migrations.RunPython(copy, migrations.RunPython.noop)]
