import pytest

from tests.fleet.launching import Yard
from tests.fleet.supervising import Fleet


@pytest.fixture
def home(tmp_path, settings):
    """A home of the test's own, with Redis away: nothing that matters may need it."""
    settings.SWARMYARD_HOME = tmp_path / "home"
    settings.SWARMYARD_HOME.mkdir()
    settings.REDIS_URL = f"unix://{tmp_path}/no-redis.sock"
    settings.HOST_TICK_SECONDS = 0.05
    settings.STOP_GRACE_SECONDS = 0.5
    # Restarts ask for room: how full the machine is that the tests run on must not matter.
    settings.MEMORY_RESERVE_MB, settings.MIN_FREE_DISK_MB, settings.MAX_MEMORY_PRESSURE = 0, 0, 100.0
    return settings.SWARMYARD_HOME


@pytest.fixture
def fleet(home, tmp_path, db):
    fleet = Fleet(tmp_path)
    yield fleet
    fleet.close()


@pytest.fixture
def yard(tmp_path):
    yard = Yard(tmp_path)
    yield yard
    yard.close()
