import pytest

from .repositories import make_repository


@pytest.fixture
def home(tmp_path, settings):
    settings.SWARMYARD_HOME = tmp_path / "home"
    settings.SWARMYARD_HOME.mkdir()
    settings.REDIS_URL = f"unix://{tmp_path}/no-redis.sock"
    return settings.SWARMYARD_HOME


@pytest.fixture
def repository(tmp_path):
    return make_repository(tmp_path / "project")
