import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from apps.fleet import reaper
from apps.fleet.launcher import MARKER, MarkerIndex, read_run
from apps.lib import procfs
from apps.lib.procfs import Process

from .launching import eventually, exit_code, is_running, output, started

ROOT = Path(__file__).parents[2]


def a_process(pid, ppid=1, *, session=1, start_ticks=1, state="S", rss=1):
    return Process(
        pid=pid,
        ppid=ppid,
        pgrp=session,
        session=session,
        state=state,
        start_ticks=start_ticks,
        cpu_ticks=0,
        waited_ticks=0,
        rss=rss,
        comm="x",
        image=1,
    )


def a_survey(*processes, agents=None, launchers=None):
    found = {process.pid: process for process in processes}
    sessions = {}
    for process in processes:
        sessions.setdefault(process.session, []).append(process.pid)
    return reaper.Survey(
        processes=found,
        agents=agents or {},
        launchers=launchers or {},
        children=reaper.children_by_parent(found),
        sessions=sessions,
        untouchable=frozenset({1}.union(*(launchers or {}).values())),
    )


def pids_from(path):
    return [int(word) for word in path.read_text().split()] if path.exists() else []


def printed_pid(order):
    return int(output(order, b"\n").split()[0])


class TestDescent:
    def test_it_finds_all_below_the_roots(self):
        processes = {
            process.pid: process
            for process in (
                a_process(10),
                a_process(11, 10),
                a_process(12, 11),
                a_process(20),
                a_process(21, 20),
            )
        }

        assert reaper.descendants(processes, [10]) == {10, 11, 12}
        assert reaper.descendants(processes, [11, 20, 99]) == {11, 12, 20, 21}

    def test_it_remembers_one_that_got_another_parent(self):
        tree = reaper.Tree("m")
        tree.observe(a_survey(a_process(10, session=10), a_process(11, 10, session=11), agents={"m": [10]}))

        new = tree.observe(a_survey(a_process(11, 1, session=11), a_process(12, 11, session=11)))

        assert set(tree.members) == {11, 12}
        assert new == {12}

    def test_it_drops_a_pid_that_belongs_to_another_now(self):
        tree = reaper.Tree("m")
        tree.add(10, 5)

        tree.observe(a_survey(a_process(10, start_ticks=6), a_process(11, 10)))

        assert tree.members == {}

    def test_it_drops_zombies_and_keeps_their_children(self):
        tree = reaper.Tree("m")
        tree.observe(
            a_survey(a_process(10), a_process(11, 10, state="Z"), a_process(12, 11), agents={"m": [10]})
        )

        assert set(tree.members) == {10, 12}

    def test_it_finds_what_stayed_in_a_session_after_its_leader(self):
        tree = reaper.Tree("m")
        tree.observe(a_survey(a_process(10, session=10), a_process(11, 10, session=10), agents={"m": [10]}))

        tree.observe(a_survey(a_process(11, 1, session=10), a_process(12, 1, session=10)))

        assert set(tree.members) == {11, 12}

    def test_a_session_is_forgotten_with_its_last_member(self):
        tree = reaper.Tree("m")
        tree.observe(a_survey(a_process(10, session=10), agents={"m": [10]}))
        tree.observe(a_survey())

        tree.observe(
            a_survey(a_process(10, session=10, start_ticks=9), a_process(11, session=10, start_ticks=9))
        )

        assert tree.members == {}

    def test_the_session_of_somebody_else_is_not_taken_over(self):
        tree = reaper.Tree("m")

        tree.observe(a_survey(a_process(9, session=9), a_process(10, 9, session=9), agents={"m": [10]}))

        assert set(tree.members) == {10}

    def test_launchers_are_never_members_and_what_they_run_is(self):
        tree = reaper.Tree("m")

        tree.observe(
            a_survey(
                a_process(10, session=10),
                a_process(11, 10, session=11),
                a_process(12, 11, session=12),
                agents={"m": [10], "inner": [12]},
                launchers={"inner": [11]},
            )
        )

        assert set(tree.members) == {10, 12}


def test_it_ends_an_agent_and_the_launcher_tells_how(yard):
    order = yard.start("sleep", "60")
    tree = yard.tree(order)

    yard.reap(tree)

    assert exit_code(order) == 137
    assert not is_running(read_run(order.run_dir).pid)


def test_asking_lets_an_agent_end_by_itself(yard):
    order = yard.start("sh", "-c", "trap 'exit 4' TERM; echo ready; while :; do sleep 0.05; done")
    output(order, b"ready")
    tree = yard.tree(order)

    assert reaper.ask_to_stop(tree) >= 1

    assert exit_code(order) in (4, 143)


def test_an_agent_that_ignores_sigterm_is_killed(yard):
    order = yard.start("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done")
    output(order, b"ready")
    tree = yard.tree(order)

    reaper.ask_to_stop(tree)
    time.sleep(0.2)
    assert read_run(order.run_dir).exit_code is None
    yard.reap(tree)

    assert exit_code(order) == 137


def test_a_paused_agent_stands_still_with_all_it_started(yard):
    order = yard.start("sh", "-c", "setsid sleep 60 & sleep 60 & wait")
    tree = reaper.Tree(order.env[MARKER])
    eventually(lambda: len(yard.observe(tree).members) == 3)

    reaper.pause(tree)

    eventually(lambda: {procfs.read_process(pid).state for pid in tree.members} == {"T"})
    reaper.resume(tree)
    eventually(lambda: "T" not in {procfs.read_process(pid).state for pid in tree.members})


def test_a_paused_agent_hears_that_it_shall_stop(yard):
    order = yard.start("sleep", "60")
    tree = yard.tree(order)
    reaper.pause(tree)

    reaper.ask_to_stop(tree)

    assert exit_code(order) == 143


def test_grandchildren_in_sessions_of_their_own_are_ended(yard):
    order = yard.start(
        "sh", "-c", "for i in 1 2 3; do setsid sh -c 'setsid sleep 60 & exec sleep 60' & done; exit 0"
    )
    exit_code(order)
    tree = reaper.Tree(order.env[MARKER])
    eventually(lambda: len(yard.observe(tree).members) == 6)
    pids = list(tree.members)

    yard.reap(tree)

    assert not any(is_running(pid) for pid in pids)


def test_a_double_fork_is_found_after_a_restart_by_its_marker(yard):
    order = yard.start("sh", "-c", "(setsid sh -c 'echo $$; exec sleep 60' &) ; exit 0")
    pid = printed_pid(order)
    exit_code(order)

    tree = yard.tree(order)  # a new one: what an earlier supervisor remembered is gone
    assert pid in tree.members
    yard.reap(tree)

    assert not is_running(pid)


def test_a_child_without_the_marker_is_remembered(yard):
    hidden = "env -i setsid sh -c 'echo $$; exec sleep 60 >/dev/null 2>&1'"
    order = yard.start("sh", "-c", f"{hidden} & while [ ! -e go ]; do sleep 0.02; done")
    pid = printed_pid(order)
    eventually(lambda: procfs.read_process(pid).comm == "sleep")
    tree = yard.tree(order)
    (order.cwd / "go").touch()
    exit_code(order)
    eventually(lambda: procfs.read_process(pid).ppid != read_run(order.run_dir).pid)

    yard.observe(tree)
    assert set(tree.members) == {pid}
    assert pid not in yard.index.agents.get(order.env[MARKER], [])
    yard.reap(tree)

    assert not is_running(pid)


def test_one_that_hid_between_two_looks_is_found_by_the_output_it_holds(yard):
    order = yard.start("sh", "-c", "(env -i setsid sh -c 'echo $$; exec sleep 60' &) ; exit 0")
    pid = printed_pid(order)
    exit_code(order)
    eventually(lambda: procfs.environment(pid).get(MARKER) is None)
    tree = reaper.Tree(order.env[MARKER])

    yard.reap(tree)

    eventually(lambda: not is_running(pid))
    eventually(yard.no_launcher_left)


GUARDS = """
import os, sys, time

# A guard keeps a child in a session of its own alive; the child becomes a guard when its own is gone.
def guard():
    while True:
        own = os.getpid()
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            continue
        os.setsid()
        with open("pids", "a") as file:
            file.write(f"{os.getpid()}\\n")
        while os.getppid() == own:
            time.sleep(0.001)

for number in range(5):
    if not os.fork():
        guard()
print("ready", flush=True)
guard()
"""


def test_agents_that_start_each_other_again_come_to_an_end(yard):
    order = yard.start(sys.executable, "-c", GUARDS)
    output(order, b"ready")
    assert eventually(lambda: len(pids_from(order.cwd / "pids")) >= 5)
    tree = yard.tree(order)

    yard.reap(tree)

    assert exit_code(order) == 137
    pids = pids_from(order.cwd / "pids")
    time.sleep(0.1)
    assert not any(is_running(pid) for pid in pids)
    assert not yard.observe(tree).members


def test_an_agent_that_keeps_forking_comes_to_an_end(yard):
    script = "while :; do setsid sleep 30 & setsid sh -c 'sleep 0.01; setsid sleep 30' & sleep 0.01; done"
    order = yard.start("sh", "-c", script)
    tree = reaper.Tree(order.env[MARKER])
    eventually(lambda: len(yard.observe(tree).members) > 20)

    yard.reap(tree)

    assert exit_code(order) == 137
    time.sleep(0.1)
    assert not yard.observe(tree).members


RUNAWAY = """
import os, time
while True:
    time.sleep(0.1)
    if os.fork():
        os._exit(0)
    os.setsid()
"""


def test_a_process_that_runs_from_one_pid_to_the_next_is_caught(yard):
    order = yard.start(sys.executable, "-c", RUNAWAY)
    exit_code(order)
    tree = yard.tree(order)

    yard.reap(tree, seconds=20)

    time.sleep(0.2)
    assert not yard.observe(tree).members


def test_a_step_does_not_wait(yard):
    order = yard.start("sh", "-c", "trap '' TERM; while :; do sleep 1; done")
    tree = yard.tree(order)
    begun = time.monotonic()

    reaper.reap_step([tree], yard.index)

    assert time.monotonic() - begun < 1


def test_a_foreign_process_with_a_remembered_pid_is_left_alone(yard):
    bystander = subprocess.Popen(["sleep", "60"])
    ticks = procfs.read_process(bystander.pid).start_ticks
    tree = reaper.Tree("nobody.1.1")
    tree.add(bystander.pid, ticks - 1)

    assert reaper.signal_all(tree, signal.SIGKILL) == 0
    reaper.reap_step([tree], MarkerIndex())

    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


def test_agents_are_ended_one_by_one(yard):
    first, second = yard.start("sleep", "60"), yard.start("sleep", "60")
    tree, other = yard.tree(first), yard.tree(second)

    yard.reap(tree)

    assert exit_code(first) == 137
    assert is_running(started(second).pid)
    assert other.members


def test_it_never_ends_itself():
    program = """
import os
from apps.fleet import reaper
from apps.fleet.launcher import MarkerIndex
left = reaper.reap_step([reaper.Tree("self.1.1")], MarkerIndex())
print(os.environ["SWARMYARD_RUN"], left)
"""

    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, MARKER: "self.1.1"},
        capture_output=True,
        check=False,
        timeout=20,
    )

    assert done.stdout == b"self.1.1 {'self.1.1': 0}\n"
