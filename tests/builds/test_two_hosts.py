"""Two hosts with agents of the same name: neither's builds are taken for the other's."""

import json
import time

from apps.builds import places
from apps.builds.lock_watch import LockWatch
from apps.builds.models import Build, BuildDirectory
from apps.builds.recorder import Recorder
from apps.fleet.places import marker
from tests.factories import make_agent, make_host, make_workspace


def test_builds_of_the_same_name_are_each_host_s_own(db, tmp_path, settings, redis_server):
    settings.SWARMYARD_HOME = tmp_path / "one"
    settings.SWARMYARD_HOME.mkdir()
    places.make_ready()
    agent = make_agent("w1/agent-01", host=make_host("one"))
    make_workspace(agent)
    ours, theirs = marker(agent), f"{'0' * 12}.{agent.pk}.1"
    recorder = Recorder(agent.host, LockWatch())
    told("00000000000000000001.100", ours, "/builds/a")
    recorder.turn()

    elsewhere = Recorder(make_host("two"), LockWatch())
    told("00000000000000000001.100", theirs, "/builds/a")
    elsewhere.turn()

    mine, other = Build.objects.order_by("pk")
    assert (mine.host.name, mine.agent, mine.who) == ("one", agent, "w1/agent-01")
    assert (other.host.name, other.agent, other.who) == ("two", None, "w1/agent-01")
    assert BuildDirectory.objects.filter(path="/builds/a").count() == 2


def told(name: str, run: str, directory: str) -> None:
    """As a shim leaves it."""
    now = time.time()
    report = {"v": 1, "run": run, "agent": "w1/agent-01", "pid": 100, "tool": "cargo", "mode": "check"}
    times = {"asked_at": now, "began_at": now, "ended_at": now, "exit_code": 0, "memory": 1}
    (places.reports() / name).write_text(json.dumps(report | times | {"directory": directory}))
