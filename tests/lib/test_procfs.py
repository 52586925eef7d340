import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from apps.lib import procfs


def wait_for_exec(pid):
    """It begins before the new environment can be read."""
    deadline = time.monotonic() + 5
    while not procfs.environment(pid) and time.monotonic() < deadline:
        time.sleep(0.001)


@pytest.fixture
def sleeper():
    process = subprocess.Popen(["sleep", "60"], start_new_session=True, env={"COLOUR": "grün=\nrot", "A": ""})
    wait_for_exec(process.pid)
    yield process
    process.kill()
    process.wait()


def test_it_reads_itself():
    ours = procfs.read_processes()[os.getpid()]

    assert (ours.ppid, ours.pgrp, ours.session) == (os.getppid(), os.getpgrp(), os.getsid(0))
    assert ours.alive
    now = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    assert abs(ours.rss - now) < 20_000_000


def test_it_counts_cpu_in_ticks():
    begun = procfs.read_process(os.getpid()).cpu_ticks
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass

    assert procfs.read_process(os.getpid()).cpu_ticks - begun >= 0.08 * procfs.TICKS


@pytest.mark.parametrize("name", ["a b", ") S 1 1 (", "((", "x\ny", "äöü"])
def test_it_reads_odd_names(tmp_path, name):
    program = tmp_path / name.replace("/", "_")
    shutil.copy(shutil.which("sleep"), program)
    process = subprocess.Popen([str(program), "60"])

    try:
        read = procfs.read_process(process.pid)
    finally:
        process.kill()
        process.wait()

    assert (read.pid, read.ppid, read.comm) == (process.pid, os.getpid(), name)


def test_a_zombie_is_listed_and_not_alive():
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

    assert procfs.read_processes()[process.pid].alive is False
    process.wait()


def test_a_process_that_is_gone_reads_as_none():
    process = subprocess.Popen(["true"])
    process.wait()

    assert procfs.read_process(process.pid) is None
    assert procfs.read_io(process.pid) is None
    assert procfs.environment(process.pid).get("PATH") is None


def test_it_survives_processes_that_vanish_while_it_reads():
    churn = subprocess.Popen(["sh", "-c", "while :; do true & /bin/true; done"], start_new_session=True)

    try:
        passes = [procfs.read_processes() for _time in range(30)]
    finally:
        os.killpg(churn.pid, signal.SIGKILL)
        churn.wait()

    assert all(os.getpid() in found for found in passes)


def test_it_reads_a_value_from_an_environment(sleeper):
    assert procfs.environment(sleeper.pid).get("COLOUR") == "grün=\nrot"
    assert procfs.environment(sleeper.pid).get("A") == ""
    assert procfs.environment(sleeper.pid).get("COLOU") is None


def test_it_reads_an_environment_larger_than_one_block():
    environment = {f"V{number}": "x" * 100_000 for number in range(8)} | {"LAST": "here"}
    process = subprocess.Popen(["sleep", "60"], env=environment)

    try:
        wait_for_exec(process.pid)
        assert procfs.environment(process.pid).get("LAST") == "here"
    finally:
        process.kill()
        process.wait()


def test_the_image_changes_with_an_exec_and_the_start_does_not():
    process = subprocess.Popen(
        ["sh", "-c", "read line; exec sleep 60"], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        before = procfs.read_process(process.pid)
        process.stdin.write(b"go\n")
        process.stdin.flush()
        deadline = time.monotonic() + 5
        while (after := procfs.read_process(process.pid)).comm != "sleep" and time.monotonic() < deadline:
            time.sleep(0.005)
    finally:
        process.kill()
        process.wait()

    assert after.key == before.key
    assert after.image not in (0, before.image)


def test_it_reads_what_a_process_wrote(tmp_path):
    before = procfs.read_io(os.getpid()).write_bytes
    with open(tmp_path / "file", "wb") as file:
        file.write(os.urandom(1_000_000))
        file.flush()
        os.fsync(file.fileno())

    grown = procfs.read_io(os.getpid()).write_bytes - before

    assert grown >= 1_000_000 or os.statvfs(tmp_path).f_fsid == os.statvfs("/dev/shm").f_fsid


def test_it_signals_the_process_it_was_asked_to(sleeper):
    ticks = procfs.read_process(sleeper.pid).start_ticks

    assert procfs.signal_process(sleeper.pid, ticks, signal.SIGTERM) is True
    assert sleeper.wait(5) == -signal.SIGTERM


def test_it_never_signals_another_process_with_the_same_pid(sleeper):
    ticks = procfs.read_process(sleeper.pid).start_ticks

    assert procfs.signal_process(sleeper.pid, ticks - 1, signal.SIGKILL) is False
    assert sleeper.poll() is None


def test_signalling_what_is_gone_is_no_error():
    process = subprocess.Popen(["true"])
    process.wait()

    assert procfs.signal_process(process.pid, 1, signal.SIGTERM) is False


def test_memory_is_the_machines_or_the_containers():
    memory = procfs.read_memory()

    assert 0 < memory.available <= memory.total
    assert memory.total <= os.sysconf("SC_PHYS_PAGES") * procfs.PAGE * 1.01


def write_group(directory, **files):
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (directory / name.replace("__", ".")).write_text(content)
    return directory


@pytest.mark.parametrize(
    ("version", "files"),
    [
        (
            2,
            {
                "memory__max": "1000000\n",
                "memory__current": "700000\n",
                "memory__stat": "anon 5\ninactive_file 200000\n",
            },
        ),
        (
            1,
            {
                "memory__limit_in_bytes": "1000000\n",
                "memory__usage_in_bytes": "700000\n",
                "memory__stat": "total_inactive_file 200000\n",
            },
        ),
    ],
)
def test_a_containers_limit_is_what_counts(tmp_path, monkeypatch, version, files):
    group = write_group(tmp_path / "group", **files)
    monkeypatch.setattr(procfs, "control_groups", lambda controller: [(group, version)])

    memory = procfs.read_memory()

    assert memory == procfs.Memory(total=1_000_000, available=500_000)


def test_a_group_without_a_limit_changes_nothing(tmp_path, monkeypatch):
    group = write_group(tmp_path / "group", memory__max="max\n", memory__current="700000\n")
    monkeypatch.setattr(procfs, "control_groups", lambda controller: [(group, 2)])

    limited = procfs.read_memory().total
    monkeypatch.setattr(procfs, "control_groups", lambda controller: [])
    assert limited == procfs.read_memory().total


@pytest.mark.parametrize(
    ("version", "files", "quota"),
    [
        (2, {"cpu__max": "150000 100000\n"}, 1.5),
        (2, {"cpu__max": "max 100000\n"}, None),
        (1, {"cpu__cfs_quota_us": "50000\n", "cpu__cfs_period_us": "100000\n"}, 0.5),
        (1, {"cpu__cfs_quota_us": "-1\n", "cpu__cfs_period_us": "100000\n"}, None),
    ],
)
def test_it_reads_a_cpu_quota(tmp_path, monkeypatch, version, files, quota):
    group = write_group(tmp_path / "group", **files)
    monkeypatch.setattr(procfs, "control_groups", lambda controller: [(group, version)])

    assert procfs.cpu_topology().quota == quota


def test_the_tightest_of_nested_groups_counts(tmp_path, monkeypatch):
    outer = write_group(tmp_path / "outer", cpu__max="50000 100000\n")
    inner = write_group(tmp_path / "outer" / "inner", cpu__max="400000 100000\n")
    monkeypatch.setattr(procfs, "control_groups", lambda controller: [(inner, 2), (outer, 2)])

    assert procfs.cpu_topology().usable == 0.5


def test_the_topology_is_consistent():
    topology = procfs.cpu_topology()

    assert 1 <= topology.physical <= topology.logical
    assert 1 <= topology.affinity <= topology.logical
    assert 0 < topology.usable <= topology.affinity


def test_it_counts_the_cpus_it_may_run_on():
    program = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
        "from apps.lib.procfs import cpu_topology; print(cpu_topology().affinity)"
    )

    assert (
        subprocess.check_output([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": "."})
        == b"1\n"
    )


def test_pressure_is_a_share_or_unknown():
    pressure = procfs.pressure("memory")

    assert pressure is None or 0 <= pressure <= 100


def test_the_disk_has_room_and_a_size(tmp_path):
    disk = procfs.disk(tmp_path)

    assert 0 < disk.free <= disk.total


def test_the_boot_id_stays():
    assert procfs.boot_id() == procfs.boot_id() != ""


def test_a_pass_is_quick():
    procfs.read_processes()
    begun = time.process_time()

    count = len(procfs.read_processes())

    assert (time.process_time() - begun) / count < 0.001
