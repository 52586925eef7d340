"""The loop of `runhost` goes on when the database is away for a moment."""

import pytest
from django.db import InterfaceError, OperationalError

from apps.fleet.actions import observe
from apps.fleet.management.commands import runhost

from .supervising import UNTIL_TOLD


@pytest.mark.parametrize(
    "error", [OperationalError("database is locked"), InterfaceError("connection already closed")]
)
def test_a_database_that_refuses_is_no_reason_to_end(fleet, monkeypatch, error):
    agent = fleet.running(f"{UNTIL_TOLD}; exit 3")

    def refuse(**options):
        raise error

    with monkeypatch.context() as patch:
        fleet.supervisor.measuring.measured_at = None
        patch.setattr(observe, "record_reading", refuse)
        patch.setattr(runhost, "close_old_connections", lambda: None)  # the tests' database lives in this one
        assert runhost.round_of(fleet.supervisor) is False

    fleet.tell()
    fleet.until_ended(agent)
    assert agent.exit_code == 3
