import pytest

from tests.workspaces.repositories import make_repository

from .starting import Waves


@pytest.fixture
def home(tmp_path, settings):
    settings.SWARMYARD_HOME = tmp_path / "home"
    settings.SWARMYARD_HOME.mkdir()
    settings.REDIS_URL = f"unix://{tmp_path}/no-redis.sock"
    return settings.SWARMYARD_HOME


@pytest.fixture
def source(tmp_path):
    return make_repository(tmp_path / "project")


@pytest.fixture
def waves(db, home, source, monkeypatch):
    return Waves(source, monkeypatch)
