"""Slots that builds of one machine share, held by real processes."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agentkit.building import slots
from agentkit.building.slots import HEAD_START, LIMIT, PATIENCE, Ticket, is_ticket

ROOT = Path(__file__).parents[2]
HOLDER = """
import sys, time
from agentkit.building.slots import Ticket
ticket = Ticket(sys.argv[1], short=sys.argv[2] == "short", patient=sys.argv[2] == "patient")
ticket.wait()
with open(sys.argv[3], "a") as log:
    log.write(sys.argv[4] + "\\n")
time.sleep(float(sys.argv[5]))
ticket.close()
"""


class Builds:
    def __init__(self, directory: Path) -> None:
        self.slots = directory / "slots"
        self.slots.mkdir()
        self.log = directory / "log"
        self.log.touch()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *, seconds: float = 60, kind: str = "long") -> subprocess.Popen[bytes]:
        """One that stands in the queue when this returns."""
        before = len(self.tickets())
        argv = [sys.executable, "-c", HOLDER, str(self.slots), kind, str(self.log), name, str(seconds)]
        process = self.processes[name] = subprocess.Popen(argv, cwd=ROOT)
        self.until(lambda: len(self.tickets()) > before or name in self.ran())
        return process

    def limit(self, number: int) -> None:
        (self.slots / LIMIT).write_text(str(number))

    def tickets(self) -> list[str]:
        return [name for name in os.listdir(self.slots) if is_ticket(name)]

    def ran(self) -> list[str]:
        return self.log.read_text().split()

    def until(self, condition, seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"it did not come true: {self.ran()} ran, {self.tickets()}"
            time.sleep(0.01)

    def end(self, name: str, number: int = signal.SIGKILL) -> None:
        process = self.processes[name]
        process.send_signal(number)
        process.wait(10)

    def close(self) -> None:
        for process in self.processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait(10)


@pytest.fixture
def builds(tmp_path):
    builds = Builds(tmp_path)
    yield builds
    builds.close()


def test_as_many_run_as_there_are_slots_and_the_next_when_one_ends(builds):
    builds.limit(2)
    for name in "abc":
        builds.start(name)
    builds.until(lambda: set(builds.ran()) == {"a", "b"})

    builds.end("a", signal.SIGTERM)

    builds.until(lambda: "c" in builds.ran())


def test_a_killed_build_gives_its_slot_back(builds):
    builds.limit(1)
    builds.start("a")
    builds.until(lambda: builds.ran() == ["a"])
    builds.start("b")

    builds.end("a")

    builds.until(lambda: builds.ran() == ["a", "b"])
    assert len(builds.tickets()) == 1


def test_one_that_dies_while_it_waits_holds_up_nobody(builds):
    builds.limit(1)
    builds.start("a")
    builds.until(lambda: builds.ran() == ["a"])
    builds.start("b")
    builds.start("c")

    builds.end("b")
    builds.end("a")

    builds.until(lambda: builds.ran() == ["a", "c"])


def test_they_run_in_the_order_in_which_they_came(builds):
    builds.limit(1)
    builds.start("first")
    builds.until(lambda: builds.ran() == ["first"])
    for name in ("second", "third", "fourth"):
        builds.start(name, seconds=0)

    builds.end("first")

    builds.until(lambda: len(builds.ran()) == 4)
    assert builds.ran() == ["first", "second", "third", "fourth"]


def test_a_short_one_goes_ahead_of_long_ones_that_wait(builds):
    builds.limit(1)
    builds.start("first")
    builds.until(lambda: builds.ran() == ["first"])
    builds.start("long", seconds=0)
    builds.start("short", seconds=0, kind="short")

    builds.end("first")

    builds.until(lambda: len(builds.ran()) == 3)
    assert builds.ran() == ["first", "short", "long"]


def test_a_patient_one_lets_others_go_ahead_that_come_after_it(builds):
    builds.limit(1)
    builds.start("first")
    builds.until(lambda: builds.ran() == ["first"])
    builds.start("patient", seconds=0, kind="patient")
    builds.start("long", seconds=0)

    builds.end("first")

    builds.until(lambda: len(builds.ran()) == 3)
    assert builds.ran() == ["first", "long", "patient"]


def test_the_slot_of_a_frozen_build_is_free_until_it_goes_on(builds):
    builds.limit(1)
    builds.start("a")
    builds.until(lambda: builds.ran() == ["a"])
    builds.start("b")

    builds.processes["a"].send_signal(signal.SIGSTOP)

    builds.until(lambda: builds.ran() == ["a", "b"])


def test_a_higher_limit_lets_in_who_waits(builds):
    builds.limit(1)
    builds.start("a")
    builds.until(lambda: builds.ran() == ["a"])
    builds.start("b")

    builds.limit(2)

    builds.until(lambda: builds.ran() == ["a", "b"])


@pytest.mark.parametrize("text", ["", "many", "-3", "0"])
def test_a_limit_that_is_none_lets_in_one_at_least(builds, text):
    (builds.slots / LIMIT).write_text(text)

    builds.start("a")

    builds.until(lambda: builds.ran() == ["a"])


def test_never_more_at_once_than_slots(builds, tmp_path):
    """Thirty that come and go at the same time; each notes how many it sees running."""
    builds.limit(3)
    script = (
        "import os, sys, time\n"
        "from agentkit.building.slots import Ticket\n"
        "ticket = Ticket(sys.argv[1], short=int(sys.argv[3]) % 2 == 0)\n"
        "ticket.wait()\n"
        "fd = os.open(sys.argv[2] + '/' + sys.argv[3], os.O_CREAT)\n"
        "print(len(os.listdir(sys.argv[2])))\n"
        "time.sleep(0.05)\n"
        "os.unlink(sys.argv[2] + '/' + sys.argv[3])\n"
        "ticket.close()\n"
    )
    (tmp_path / "running").mkdir()
    arguments = [sys.executable, "-c", script, str(builds.slots), str(tmp_path / "running")]

    crowd = [
        subprocess.Popen([*arguments, str(number)], cwd=ROOT, stdout=subprocess.PIPE) for number in range(30)
    ]
    seen = [int(process.communicate(timeout=60)[0]) for process in crowd]

    assert len(seen) == 30
    assert max(seen) <= 3
    assert builds.tickets() == []


def test_who_waits_is_told_who_is_ahead(builds):
    builds.limit(1)
    builds.start("a")
    builds.until(lambda: builds.ran() == ["a"])
    ahead: list[list[int]] = []

    def look(pids):
        ahead.append(pids)
        builds.processes["a"].kill()

    ticket = Ticket(str(builds.slots), short=False)
    waited = ticket.wait(look=look)

    assert ahead[0] == [builds.processes["a"].pid]
    assert waited > 0
    ticket.close()
    assert builds.tickets() == []


class Clock:
    """In place of `time`, for tickets of this process."""

    def __init__(self) -> None:
        self.now = 50.0  # of a machine that has just started

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return -self.now  # set back all the time


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(slots, "time", clock)
    return clock


def test_a_steady_stream_of_short_ones_holds_a_long_one_up_for_its_head_start_alone(tmp_path, clock):
    first = Ticket(str(tmp_path), short=False, pid=1)
    checks = []
    for _ in range(40):
        clock.now += HEAD_START / 10
        checks.append(Ticket(str(tmp_path), short=True, pid=1))

    ahead = [check for check in checks if check.name < first.name]

    assert 8 <= len(ahead) <= 10
    for ticket in (first, *checks):
        ticket.close()


def test_a_patient_one_has_its_turn_in_the_end(tmp_path, clock):
    patient = Ticket(str(tmp_path), short=False, patient=True, pid=1)
    clock.now += PATIENCE + HEAD_START + 1
    later = Ticket(str(tmp_path), short=True, pid=1)

    assert patient.name < later.name
    patient.close()
    later.close()


def test_a_clock_that_is_set_back_lets_nobody_go_first(tmp_path, clock):
    before = Ticket(str(tmp_path), short=False)
    clock.now += 1
    after = Ticket(str(tmp_path), short=False)

    assert before.name < after.name
    assert is_ticket(before.name)
    before.close()
    after.close()


def test_a_look_at_a_long_queue_asks_as_many_as_there_are_slots(tmp_path, monkeypatch):
    (tmp_path / LIMIT).write_text("2")
    queue = [Ticket(str(tmp_path), short=False) for _ in range(50)]
    asked: list[str] = []

    def counting(path: str, real=slots.state_of) -> bytes:
        asked.append(path)
        return real(path)

    monkeypatch.setattr(slots, "state_of", counting)

    ahead = queue[-1]._try()

    assert len(ahead) == len(asked) == 2
    assert queue[-1].before == 49
    for ticket in queue:
        ticket.close()


def test_what_else_lies_there_is_no_ticket(builds):
    (builds.slots / "00000000000000000001.x").touch()
    (builds.slots / "1").mkdir()
    builds.limit(1)

    builds.start("a")

    builds.until(lambda: builds.ran() == ["a"])
