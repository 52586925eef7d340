"""The host's jobserver: who is given it, and that killed builds cost it nothing for long."""

import os
import signal

import pytest

from apps.builds import jobserver, places
from apps.builds.models import Build, BuildOptions, BuildState
from apps.builds.preparing import environments_for
from tests.builds.test_recorder import leave, report


@pytest.fixture
def shared(home):
    jobserver.make_ready(4.0)
    return places.jobserver()


def inode(shared) -> int:
    return (shared / "fifo").stat().st_ino


@pytest.mark.parametrize(("cpus", "number"), [(4.0, 3), (1.5, 0), (None, 0)])
def test_a_build_alone_may_use_all_cores(home, cpus, number):
    jobserver.make_ready(cpus)

    assert (places.jobserver() / "tokens").read_text() == f"{number}\n"


def test_only_repositories_that_want_it_are_given_it(agent):
    before = environments_for([agent.workspace])[agent.workspace.pk]
    BuildOptions.objects.create(repository=agent.workspace.repository, jobserver=True)
    after = environments_for([agent.workspace])[agent.workspace.pk]

    assert "SWARMYARD_BUILD_JOBSERVER" not in before
    assert after["SWARMYARD_BUILD_JOBSERVER"] == str(places.jobserver())


def test_a_build_that_was_killed_costs_no_tokens(recorder, shared):
    held = os.open(shared / "fifo", os.O_RDWR | os.O_NONBLOCK)  # so that its inode isn't given out again
    before = inode(shared)
    leave(report(began_at=1_700_000_000.5, ended_at=1_700_000_001.0, exit_code=0))
    recorder.turn()
    after_passing = inode(shared)
    leave(
        report(began_at=1_700_000_000.5, ended_at=1_700_000_001.0, exit_code=-signal.SIGKILL),
        "00001700000000000001.4712",
    )
    recorder.turn()

    os.close(held)
    assert after_passing == before
    assert inode(shared) != before


def test_nor_does_one_that_was_killed_with_its_shim(recorder, shared):
    held = os.open(shared / "fifo", os.O_RDWR | os.O_NONBLOCK)  # so that its inode isn't given out again
    before = inode(shared)
    leave(report(pid=2**22 - 1, began_at=1_700_000_000.5))
    recorder.turn()
    recorder.give_up_gone()

    os.close(held)
    assert Build.objects.get().state == BuildState.LOST
    assert inode(shared) != before
