"""The health gate with real processes under a real supervisor."""

import time

import pytest
from django.utils import timezone

from apps.fleet.models import Agent, State
from apps.fleet.supervisor import Supervisor
from apps.lib import procfs

ENDED = (State.EXITED, State.FAILED, State.LOST)


@pytest.mark.parametrize(("command", "state"), [("false", "paused"), ("true", "running")])
def test_a_step_of_commands_that_end_at_once(waves, tmp_path, settings, command, state):
    settings.HOST_TICK_SECONDS = 0.05
    wave = waves.start(agents=4, step_size=2, command=[command], restart_policy="never")
    waves.make_ready(wave)
    waves.agents(wave).update(workspace_path=str(tmp_path))
    supervisor = Supervisor(waves.host, boot_id=procfs.boot_id(), now=timezone.now)

    first = Agent.objects.filter(member__wave=wave, member__step=0)
    deadline = time.monotonic() + 20
    while first.filter(state__in=ENDED).count() < 2:
        assert time.monotonic() < deadline, "they did not end in time"
        supervisor.tick()
        time.sleep(0.01)
    assert not first.filter(first_seen_at=None).exists()
    waves.host.refresh_from_db()
    type(waves.host).objects.update(memory_available=10**12, memory_pressure=0.0, disk_free=10**12)
    waves.tick(wave)

    assert wave.state == state
    held = state == "paused"
    assert waves.agents(wave).filter(member__step=1, desired="held").count() == (2 if held else 0)
