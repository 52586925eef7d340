"""`kill -9` of each process of the yard in the middle of a wave: nothing is lost, and nothing runs twice."""

import os
import signal
import sqlite3
from collections import Counter
from contextlib import suppress

import pytest

from apps.fleet.reaper import descendants
from apps.lib import procfs
from tests.workspaces.repositories import git, make_repository

from .running import SERVICES, Yard, until

pytestmark = pytest.mark.slow
AGENTS = 20
# Each tells that it ran, works for six to eight seconds (longer than what the health gate takes for failing at once),
# and ends with a status of its own.
SCRIPT = """
number=${SWARMYARD_AGENT##*-}; number=${number#0}
echo "$SWARMYARD_AGENT" >>"$0"
setsid sleep 1 &
sleep $((6 + number % 3))
exit $((10 + number))
"""


@pytest.fixture(scope="module")
def yard():
    yard = Yard()
    yard.start()
    yield yard
    yard.close()


class Ledger:
    """What the agents of one wave wrote down themselves, against what the yard wrote down of them."""

    def __init__(self, yard, tmp_path, slow_checkout=False):
        self.yard, self.path = yard, tmp_path / "starts"
        self.in_checkout, self.may_go_on = tmp_path / "in-checkout", tmp_path / "may-go-on"
        repository = make_repository(tmp_path / f"project-{tmp_path.name[-20:]}", files=50)
        if slow_checkout:
            (repository / ".gitattributes").write_text("file-7.txt filter=slow\n")
            script = f"touch {self.in_checkout}; until [ -e {self.may_go_on} ]; do sleep 0.05; done; cat"
            git(repository, "config", "filter.slow.smudge", script)
            git(repository, "add", ".gitattributes")
            git(repository, "commit", "--quiet", "--message", "slow")
        where = ("--repository", str(repository), "--preset", "command", "--agents", str(AGENTS))
        steps = ("--wave-size", "4", "--pause-ms", "1000")  # the command that starts it takes a while to end
        self.wave = yard.json("wave", "start", *where, *steps, "--", "sh", "-c", SCRIPT, str(self.path))[
            "wave"
        ]

    def starts(self):
        return self.path.read_text().split() if self.path.exists() else []

    def until_in_the_middle(self):
        until(lambda: len(self.starts()) >= 5, 60)
        assert len(self.starts()) < AGENTS

    def agents(self):
        return self.yard.json("agent", "list", "--all", "--wave", self.wave)

    def states(self):
        return Counter(agent["state"] for agent in self.agents())

    def until_over(self):
        until(lambda: self.yard.json("wave", "show", self.wave)["state"] != "running", 120)

    def check(self):
        names = [f"{self.wave}/agent-{number:02d}" for number in range(1, AGENTS + 1)]
        agents = {agent["name"]: (agent["state"], agent["exit_code"]) for agent in self.agents()}
        assert agents == {name: ("failed", 10 + number) for number, name in enumerate(names, start=1)}
        assert sorted(self.starts()) == names
        assert self.events() == {name: ["agent.started", "agent.failed"] for name in names}
        assert self.wave_events() == ["wave.started", "wave.failed"]
        until(lambda: not (found := self.yard.of_this_home())["agents"] and not found["launchers"])

    def events(self):
        found = {}
        for subject, kind in self.query("topic = 'agent' AND subject LIKE ?", f"{self.wave}/%"):
            found.setdefault(subject, []).append(kind)
        return found

    def wave_events(self):
        return [kind for _, kind in self.query("topic = 'wave' AND subject = ?", self.wave)]

    def query(self, condition, value):
        with sqlite3.connect(f"file:{self.yard.home}/swarmyard.sqlite3?mode=ro", uri=True) as database:
            rows = f"SELECT subject, kind FROM events_event WHERE {condition} ORDER BY id"
            return database.execute(rows, (value,)).fetchall()


@pytest.mark.parametrize("victim", SERVICES)
def test_killing_one_process(yard, tmp_path, victim):
    ledger = Ledger(yard, tmp_path)
    ledger.until_in_the_middle()

    os.kill(yard.services()[victim], signal.SIGKILL)

    ledger.until_over()
    ledger.check()
    assert any(line.startswith(f"{victim} ended (signal 9)") for line in yard.lines)


@pytest.mark.parametrize("victims", [["worker", "io"], ["redis"], ["scheduler"]], ids=" ".join)
def test_killing_some_while_checkouts_are_made(yard, tmp_path, victims):
    ledger = Ledger(yard, tmp_path, slow_checkout=True)
    until(ledger.in_checkout.exists)

    pids = [yard.services()[victim] for victim in victims]
    for one in descendants(procfs.read_processes(), pids):  # a worker's job too, and that job's git
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
    assert ledger.states()["preparing"]
    ledger.may_go_on.touch()

    ledger.until_over()
    ledger.check()


def test_killing_the_host_again_and_again(yard, tmp_path):
    ledger = Ledger(yard, tmp_path)

    for count in (1, 4, 8, 12, 16):
        until(lambda count=count: len(ledger.starts()) >= count, 60)
        if pid := yard.services().get("host"):
            os.kill(pid, signal.SIGKILL)

    ledger.until_over()
    ledger.check()


def test_killing_everything_at_once(yard, tmp_path):
    ledger = Ledger(yard, tmp_path)
    ledger.until_in_the_middle()

    for pid in [*yard.services().values(), yard.up.pid]:
        os.kill(pid, signal.SIGKILL)
    yard.up.wait()
    until(lambda: not yard.of_this_home()["yard"])
    yard.start()

    ledger.until_over()
    ledger.check()


def test_agents_that_end_while_nobody_is_there_have_their_exit_status(yard, tmp_path):
    ledger = Ledger(yard, tmp_path)
    until(lambda: len(ledger.starts()) == AGENTS, 60)

    yard.up.kill()
    yard.up.wait()
    until(lambda: not any(yard.of_this_home().values()))
    yard.start()

    ledger.until_over()
    ledger.check()
    assert Counter(agent["epoch"] for agent in ledger.agents()) == {1: AGENTS}
