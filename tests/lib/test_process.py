import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from apps.lib import procfs
from apps.lib.process import (
    ProcessFailed,
    ProgramMissing,
    check,
    reap_detached,
    run,
    spawn_detached,
)
from tests.fleet.launching import eventually, is_running


def test_it_returns_output_and_exit_code():
    completed = run(["sh", "-c", "echo out; echo err >&2; exit 3"], timeout=5)

    assert (completed.code, completed.stdout, completed.stderr) == (3, b"out\n", b"err\n")
    assert not completed.ok


def test_it_reports_the_signal_that_ended_a_process():
    assert run(["sh", "-c", "kill -KILL $$"], timeout=5).code == -9


def test_it_refuses_a_shell_string():
    with pytest.raises(TypeError, match="list of arguments"):
        run("echo hello", timeout=5)


def test_it_refuses_an_empty_command():
    with pytest.raises(ValueError, match="program's name"):
        run([], timeout=5)


@pytest.mark.parametrize(
    "argument", ["a b", "-x", "", "line\nline", "$HOME `id` ;", "æøå 雪", os.fsdecode(b"\xff\x81")]
)
def test_it_passes_any_argument_unchanged(argument):
    program = "import sys, os; sys.stdout.buffer.write(os.fsencode(sys.argv[1]))"

    completed = run([sys.executable, "-c", program, argument], timeout=10)

    assert completed.stdout == os.fsencode(argument)


def test_it_gives_an_empty_stdin():
    assert run(["cat"], timeout=5).stdout == b""


def test_it_feeds_more_than_a_pipe_holds():
    data = os.urandom(3_000_000)

    assert run(["cat"], stdin=data, timeout=10).stdout == data


def test_it_survives_a_program_that_does_not_read_its_input():
    assert run(["true"], stdin=b"x" * 3_000_000, timeout=5).code == 0


def test_it_runs_in_the_given_directory_and_environment(tmp_path):
    env = {"PATH": os.environ["PATH"], "COLOUR": "grün\n"}

    completed = run(["sh", "-c", 'pwd -P; printf %s "$COLOUR"'], cwd=tmp_path, env=env, timeout=5)

    assert completed.stdout.decode() == f"{tmp_path.resolve()}\ngrün\n"


def test_it_says_that_a_program_is_missing():
    with pytest.raises(ProgramMissing, match="no-such-program: not found"):
        run(["no-such-program"], timeout=5)


def test_it_says_that_a_file_is_not_executable(tmp_path):
    (tmp_path / "notes").write_text("plain")

    with pytest.raises(ProgramMissing, match="not executable"):
        run([str(tmp_path / "notes")], timeout=5)


def test_a_missing_directory_is_not_taken_for_a_missing_program(tmp_path):
    with pytest.raises(NotADirectoryError, match="gone"):
        run(["true"], cwd=tmp_path / "gone", timeout=5)


def test_it_ends_the_whole_group_after_its_time(tmp_path):
    pid_file = tmp_path / "pid"

    completed = run(["sh", "-c", f"sleep 60 & echo $! > {pid_file}; wait"], timeout=0.3)

    assert completed.timed_out
    assert completed.seconds < 2
    eventually(lambda: not is_running(int(pid_file.read_text())))


def test_it_kills_what_ignores_sigterm():
    completed = run(["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"], timeout=0.3)

    assert completed.timed_out
    assert completed.code == -signal.SIGKILL
    assert completed.stdout == b"ready\n"


def test_it_does_not_wait_for_what_stays_in_the_background():
    begun = time.monotonic()

    completed = run(["sh", "-c", "sleep 20 & echo done"], timeout=19)

    assert (completed.code, completed.stdout, completed.timed_out) == (0, b"done\n", False)
    assert time.monotonic() - begun < 10


def test_it_does_not_wait_for_a_background_process_that_prints_for_ever(tmp_path):
    script = f"while :; do echo noise; done & echo $! > {tmp_path / 'pid'}"

    completed = run(["sh", "-c", script], timeout=4, max_output=1000)

    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    assert (completed.code, completed.timed_out) == (0, False)


def test_it_keeps_the_start_of_stdout_and_the_end_of_stderr():
    script = "seq 1 200000; seq 1 200000 >&2; echo the reason >&2"

    completed = run(["sh", "-c", script], timeout=10, max_output=1000)

    assert completed.stdout.startswith(b"1\n2\n")
    assert completed.stderr.endswith(b"\nthe reason\n")
    assert (len(completed.stdout), len(completed.stderr), completed.truncated) == (1000, 1000, True)


def test_an_endless_printer_costs_bounded_memory():
    completed = run(["sh", "-c", "head -c 200000000 /dev/zero"], timeout=20, max_output=10_000)

    assert (completed.code, len(completed.stdout)) == (0, 10_000)


def test_check_raises_one_line_with_the_end_of_stderr():
    script = "echo first >&2; echo 'fatal: not a repository' >&2; exit 128"

    with pytest.raises(ProcessFailed) as caught:
        check(["sh", "-c", script], timeout=5)

    message = str(caught.value)
    assert message.endswith("exited with 128: first fatal: not a repository")
    assert "\n" not in message
    assert caught.value.completed.code == 128


def test_check_refuses_output_that_is_not_complete():
    with pytest.raises(ProcessFailed, match="printed more than 100 bytes"):
        check(["seq", "1", "1000"], timeout=5, max_output=100)


def test_check_names_the_time_limit():
    with pytest.raises(ProcessFailed, match=r"sleep 60 was ended after 0\.\d s"):
        check(["sleep", "60"], timeout=0.2)


def test_it_leaves_no_zombie_and_no_descriptor():
    descriptors = len(os.listdir("/proc/self/fd"))

    for _time in range(5):
        run(["true"], timeout=5)
    run(["sleep", "9"], timeout=0.05)

    children = [one for one in procfs.read_processes().values() if one.ppid == os.getpid()]
    assert [one for one in children if one.state == "Z"] == []
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_a_detached_process_has_its_own_session_and_no_descriptor_of_ours(tmp_path):
    leak = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(leak, True)
    out = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)

    pid = spawn_detached(["sh", "-c", "ls /proc/self/fd; sleep 60"], stdout_fd=out)

    listed = eventually(lambda: (tmp_path / "out").read_text())
    process = procfs.read_process(pid)
    os.kill(pid, signal.SIGKILL)
    os.close(leak)
    os.close(out)
    assert listed.split() == ["0", "1", "2", "3"]  # 3 is the directory that ls reads
    assert (process.session, process.pgrp) == (pid, pid)
    eventually(lambda: pid in reap_detached())


def test_a_detached_process_that_ended_is_reaped_and_is_no_zombie():
    pid = spawn_detached(["true"])

    assert eventually(reap_detached) == [pid]
    assert procfs.read_process(pid) is None


def test_a_detached_process_outlives_its_starter(tmp_path):
    program = "from apps.lib.process import spawn_detached; print(spawn_detached(['sleep', '60']))"
    root = Path(__file__).parents[2]

    printed = subprocess.check_output([sys.executable, "-c", program], cwd=root, env={**os.environ})

    pid = int(printed)
    assert is_running(pid)
    os.kill(pid, signal.SIGKILL)


def test_starting_costs_little_in_a_large_process():
    ballast = bytearray(os.urandom(1_000_000) * 100)
    used = time.process_time()

    pids = [spawn_detached(["sleep", "60"]) for _time in range(50)]

    used = time.process_time() - used
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: all(procfs.read_process(pid) is None or not is_running(pid) for pid in pids))
    reap_detached()
    assert len(ballast) == 100_000_000
    assert used / 50 < 0.003
