"""What builds waited reaches the figures that the rule for lock wait looks at."""

import pytest

from apps.alerts.domain.rules import DEFAULTS
from apps.builds.models import Build, LockWait
from apps.fleet.places import marker
from apps.lib.redis import connection
from apps.telemetry.domain.summary import values
from apps.telemetry.domain.tally import total
from apps.telemetry.stream import Stream
from tests.builds.test_recorder import leave, report, until

RULE = next(rule for rule in DEFAULTS if rule.key == "lock-wait")
ASKED = 1_700_000_000.0


@pytest.mark.parametrize(("waited", "is_beyond"), [(3.0, True), (0.2, False)])
def test_waits_for_slots_count_against_the_time_of_builds(recorder, agent, waited, is_beyond):
    for number in range(3):
        text = report(
            run=marker(agent), asked_at=ASKED, began_at=ASKED + waited, ended_at=ASKED + 8, exit_code=0,
            slot_wait_ms=waited * 1000, slot_owners=[99],
        )  # fmt: skip
        leave(text, f"0000170000000000000{number}.4711")
    until(lambda: recorder.turn() == 0 and not list(recorder.box.directory.glob("0*")))

    counted = total(tally for entry in Stream(connection()).take()[1] for tally in entry.parts.values())
    figures = values(counted, 60.0)

    assert set(Build.objects.values_list("group", flat=True)) == {agent.group}
    assert LockWait.objects.filter(kind="build-slot", holder_pid=99).count() == 3
    assert figures["wait_pct"] == pytest.approx(100 * waited / 8)
    assert RULE.is_beyond(figures["wait_pct"]) is is_beyond
