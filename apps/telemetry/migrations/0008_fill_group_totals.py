"""Group totals were kept from 0005 on. What agents did before is added: counts and sums from the totals of agents, which
were always kept; durations from the rollups of these agents, and of what those don't hold any more, its mean."""

from collections import defaultdict

from django.db import migrations

from apps.telemetry.domain.packing import unpacked
from apps.telemetry.domain.rolling import FIVE_MINUTES, HOUR
from apps.telemetry.domain.sketch import Sketch
from apps.telemetry.domain.subjects import of_agent

COUNTED = ["operations", "errors", "induced", "corrected", "duration_ms", "wait_ms"]
AGENTS_AT_ONCE = 500


def fill(apps, schema_editor):
    groups, members = defaultdict(lambda: dict.fromkeys(COUNTED, 0)), defaultdict(list)
    for total in apps.get_model("telemetry", "AgentTotal").objects.filter(operations__gt=0).iterator():
        place = total.group, total.role
        members[place].append(total.agent)
        for name in COUNTED:
            groups[place][name] += getattr(total, name)
    model = apps.get_model("telemetry", "GroupTotal")
    known = {(row.group, row.role): row for row in model.objects.all()}
    for place, sums in groups.items():
        row = known.get(place) or model(group=place[0], role=place[1], sketch=b"")
        if row.operations < sums["operations"]:
            kept = Sketch.from_bytes(bytes(row.sketch)) if row.sketch else Sketch()
            rolled_up, rolled_up_ms = spread_of(apps, members[place])
            # Rollups hold what was kept since 0005 as well, unless that was longer ago than they are kept.
            sketch, known_ms = (
                (rolled_up, rolled_up_ms) if rolled_up.count > kept.count else (kept, row.duration_ms)
            )
            missing = sums["operations"] - sketch.count
            if missing > 0:
                sketch.add(max(0.0, sums["duration_ms"] - known_ms) / missing, missing)
            for name in COUNTED:
                setattr(row, name, sums[name])
            row.sketch = sketch.to_bytes()
            row.save()


def spread_of(apps, agents):
    """Durations that the rollups of these agents hold, and their sum."""
    rollups = apps.get_model("telemetry", "Rollup").objects
    sketch, duration_ms = Sketch(), 0.0
    for first in range(0, len(agents), AGENTS_AT_ONCE):
        subjects = [of_agent(pk) for pk in agents[first : first + AGENTS_AT_ONCE]]
        # Those by 300 s are of versions before the others: together they hold everything once.
        rows = rollups.filter(subject__in=subjects, resolution__in=[HOUR, FIVE_MINUTES])
        for start, cells in rows.values_list("start", "cells").iterator(chunk_size=200):
            for _, tally in unpacked(bytes(cells), start):
                sketch.merge(tally.sketch)
                duration_ms += tally.duration_ms
    return sketch, duration_ms


class Migration(migrations.Migration):
    dependencies = [("telemetry", "0007_model_totals")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
