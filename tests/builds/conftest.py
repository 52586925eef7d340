import threading

import pytest

from apps.builds.lock_watch import LockWatch, watch
from apps.builds.places import make_ready
from apps.builds.recorder import Recorder
from tests.factories import make_agent, make_host, make_workspace


@pytest.fixture
def home(tmp_path, settings):
    settings.SWARMYARD_HOME = tmp_path / "home"
    settings.SWARMYARD_HOME.mkdir()
    make_ready()
    return settings.SWARMYARD_HOME


@pytest.fixture
def agent(home, db):
    agent = make_agent("w1/agent-01")
    make_workspace(agent)
    return agent


@pytest.fixture
def locks():
    """Looked at all the time by a thread, as in the host process while somebody builds."""
    locks, anybody, stop = LockWatch(), threading.Event(), threading.Event()
    anybody.set()
    thread = threading.Thread(target=watch, args=(locks, anybody, stop))
    thread.start()
    yield locks
    stop.set()
    thread.join(10)


@pytest.fixture
def recorder(home, db, redis_server, locks):
    return Recorder(make_host(), locks)
