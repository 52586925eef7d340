import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from apps.fleet import launcher
from apps.fleet.launcher import (
    LAUNCH_MARKER,
    MARKER,
    AlreadyLaunched,
    MarkerIndex,
    Run,
    find_by_marker,
    launch,
    read_run,
)
from apps.lib import procfs
from apps.lib.process import ProgramMissing, reap_detached

from .launching import Yard, eventually, exit_code, is_running, output, started

ROOT = Path(__file__).parents[2]


@pytest.fixture
def yard(tmp_path):
    yard = Yard(tmp_path)
    yield yard
    yard.close()


def test_it_keeps_output_and_exit_code(yard):
    order = yard.start("sh", "-c", "echo out; echo err >&2; exit 7")

    assert exit_code(order) == 7
    assert output(order, b"err") == b"out\nerr\n"


@pytest.mark.parametrize("name", ["HUP", "INT", "QUIT", "TERM", "KILL", "SEGV"])
def test_an_end_by_signal_is_told_as_a_shell_does(yard, name):
    order = yard.start("sh", "-c", f"ulimit -c 0; kill -{name} $$; sleep 60")

    assert exit_code(order) == 128 + getattr(signal, f"SIG{name}")


def test_a_missing_program_is_127_with_a_message(yard):
    order = yard.start("no-such-program", "--flag")

    assert exit_code(order) == 127
    assert b"no-such-program" in output(order, b"\n")


def test_a_file_that_cannot_run_is_126_with_a_message(yard, tmp_path):
    (tmp_path / "notes").write_text("plain")
    order = yard.start(str(tmp_path / "notes"))

    assert exit_code(order) == 126
    assert b"notes" in output(order, b"\n")


def test_a_missing_directory_is_refused_at_once(yard, tmp_path):
    with pytest.raises(NotADirectoryError):
        launch(yard.order("true", cwd=tmp_path / "gone"))


@pytest.mark.parametrize(
    "argument",
    [
        "a b",
        "-x",
        "--",
        "",
        "line\nline",
        "$HOME `id` $(id) ; & | * ? ' \" \\",
        "雪 ünï",
        os.fsdecode(bytes(range(1, 256))),
    ],
)
def test_arguments_and_values_arrive_unchanged(yard, argument):
    program = (
        "import os, sys; out = sys.stdout.buffer; out.write(os.fsencode(sys.argv[1]) + b'|'); "
        "out.write(os.environb[b'VALUE'] + b'|end')"
    )

    order = yard.start(sys.executable, "-c", program, argument, env={"VALUE": argument})

    raw = os.fsencode(argument)
    assert output(order, b"|end") == raw + b"|" + raw + b"|end"


@pytest.mark.parametrize("program", ["-dash", "spa ce", "new\nline"])
def test_the_programs_name_may_be_odd(yard, tmp_path, program):
    path = tmp_path / program
    path.write_text("#!/bin/sh\necho it ran\n")
    path.chmod(0o755)

    order = yard.start(program, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})

    assert exit_code(order) == 0
    assert output(order, b"ran") == b"it ran\n"


def test_it_runs_in_its_workspace_even_with_an_odd_name(yard, tmp_path):
    workspace = tmp_path / "- a\nworkspace $HOME"
    workspace.mkdir()

    order = yard.start("sh", "-c", "pwd -P; printf 'end'", cwd=workspace)

    assert output(order, b"end") == f"{workspace.resolve()}\nend".encode()


def test_an_odd_run_directory_works(yard):
    order = yard.start("echo", "fine", name="-e $x\ny")

    assert exit_code(order) == 0
    assert output(order, b"fine") == b"fine\n"


def test_the_environment_is_what_was_ordered_and_not_ours(yard, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_PLANE", "x")

    order = yard.start("env", "-0", env={"A": "1", "odd.name": "left out"})

    exit_code(order)
    names = {entry.partition(b"=")[0] for entry in output(order, b"A=1").split(b"\0") if entry}
    assert names >= {b"A", b"PATH", MARKER.encode()}
    assert names <= {b"A", b"PATH", MARKER.encode(), b"PWD", b"OLDPWD", b"SHLVL", b"_"}


def test_it_works_when_the_agents_path_leads_nowhere(yard):
    order = yard.start("/bin/echo", "fine", env={"PATH": "/nowhere"})

    assert exit_code(order) == 0
    assert output(order, b"fine") == b"fine\n"


def test_stdin_is_empty_unless_a_file_is_given(yard, tmp_path):
    (tmp_path / "prompt").write_bytes(b"do it")

    silent = yard.start("sh", "-c", "cat; echo end")
    fed = yard.start("sh", "-c", "cat; echo end", stdin_path=tmp_path / "prompt")

    assert output(silent, b"end") == b"end\n"
    assert output(fed, b"end") == b"do itend\n"


def test_no_descriptor_of_ours_reaches_the_agent(yard, tmp_path):
    leak = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(leak, True)

    order = yard.start("sh", "-c", "ls /proc/$$/fd; echo end")

    assert output(order, b"end").split(b"end")[0].split() == [b"0", b"1", b"2"]
    os.close(leak)


def test_the_agent_ignores_and_blocks_no_signal(yard):
    # The C library keeps 32 and 33 for its threads and lets nobody change them: what the tests were started with stays.
    of_the_c_library = 1 << 31 | 1 << 32
    order = yard.start("grep", "-E", "Sig(Blk|Ign)", "/proc/self/status")

    assert exit_code(order) == 0
    masks = dict(line.split(b":") for line in output(order, b"SigIgn").splitlines())
    assert {name: int(mask, 16) & ~of_the_c_library for name, mask in masks.items()} == {
        b"SigBlk": 0,
        b"SigIgn": 0,
    }


def test_the_agent_leads_a_session_apart_from_its_launcher(yard):
    order = yard.start("sleep", "60")
    launched = yard.launched[order.env[MARKER]]

    run = started(order)
    eventually(lambda: procfs.read_process(run.pid).comm == "sleep")
    agent = procfs.read_process(run.pid)

    assert (agent.session, agent.pgrp, agent.start_ticks) == (run.pid, run.pid, run.start_ticks)
    assert procfs.read_process(launched.launcher_pid).session == launched.launcher_pid
    assert procfs.read_process(launched.launcher_pid).start_ticks == launched.start_ticks


@pytest.mark.parametrize("sig", [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM])
def test_the_launcher_lives_through_polite_signals(yard, sig):
    order = yard.start("sleep", "60")
    pid = started(order).pid
    launched = yard.launched[order.env[MARKER]]
    eventually(lambda: procfs.read_process(pid).comm == "sleep")

    os.killpg(launched.launcher_pid, sig)
    os.kill(pid, signal.SIGTERM)

    assert exit_code(order) == 143


def test_a_grandchild_with_the_output_open_delays_nothing(yard):
    order = yard.start("sh", "-c", "(sleep 0.3; echo later; sleep 60) & exit 3")

    assert exit_code(order, seconds=2) == 3
    assert output(order, b"later") == b"later\n"


def test_the_agent_lives_on_when_its_starter_is_killed(yard):
    order = yard.order("sh", "-c", "sleep 0.4; echo alive; exit 5")
    program = f"""
import os, signal
from pathlib import Path
from apps.fleet.launcher import Order, launch
launch(Order(Path({str(order.run_dir)!r}), {order.argv!r}, {dict(order.env)!r}, Path({str(order.cwd)!r})))
os.kill(os.getpid(), signal.SIGKILL)
"""

    starter = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False)

    assert starter.returncode == -signal.SIGKILL
    assert exit_code(order) == 5
    assert output(order, b"alive") == b"alive\n"


def test_a_run_directory_is_used_once(yard):
    order = yard.start("true")

    with pytest.raises(AlreadyLaunched):
        launch(order)


def test_an_order_without_a_marker_is_refused(yard, tmp_path):
    order = launcher.Order(tmp_path / "run", ["true"], {"PATH": "/bin"}, tmp_path)

    with pytest.raises(ValueError, match=MARKER):
        launch(order)


def test_a_missing_tool_of_the_launcher_is_told_before_anything_starts(yard, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    launcher._tools.cache_clear()
    launcher._tool.cache_clear()
    order = yard.order("true")

    with pytest.raises(ProgramMissing, match="no agent can be started"):
        launch(order)

    assert not order.run_dir.exists()


def test_reading_a_run_that_never_was(tmp_path):
    assert read_run(tmp_path / "nothing") == Run(None, None, None)


def test_it_tells_when_an_agent_started_and_ended(yard):
    before = time.time()
    order = yard.start("sleep", "0.2")

    exit_code(order)

    run = read_run(order.run_dir)
    assert before - 0.1 < run.started_at < run.ended_at < time.time() + 0.1
    assert run.ended_at - run.started_at > 0.15


def test_an_agent_whose_launcher_was_killed_is_found_and_has_no_exit_code(yard):
    order = yard.start("sleep", "60")
    pid = started(order).pid
    eventually(lambda: procfs.read_process(pid).comm == "sleep")

    os.kill(yard.launched[order.env[MARKER]].launcher_pid, signal.SIGKILL)
    eventually(lambda: reap_detached())

    assert [process.pid for process in find_by_marker(order.env[MARKER])] == [pid]
    yard.reap(yard.tree(order))
    assert not is_running(pid)
    assert read_run(order.run_dir).exit_code is None


def test_a_run_directory_is_private(yard):
    order = yard.start("true")

    assert order.run_dir.stat().st_mode & 0o777 == 0o700


def test_the_exit_code_needs_no_new_block(yard):
    order = yard.start("sh", "-c", "sleep 0.2; exit 9")
    before = (order.run_dir / "exit").stat()

    exit_code(order)

    after = (order.run_dir / "exit").stat()
    assert (after.st_ino, after.st_size, after.st_blocks) == (before.st_ino, before.st_size, before.st_blocks)


def test_a_marker_finds_descendants_in_other_sessions(yard):
    order = yard.start("sh", "-c", "setsid sleep 61 & sleep 62")
    marker = order.env[MARKER]

    found = eventually(lambda: len(found := find_by_marker(marker)) == 3 and found)

    assert started(order).pid in {process.pid for process in found}
    assert len({process.session for process in found}) == 2


def test_launcher_and_logger_are_told_apart_from_the_agent(yard):
    order = yard.start("sleep", "60")
    marker = order.env[MARKER]
    index = MarkerIndex()
    launched = yard.launched[marker]

    eventually(lambda: index.refresh(procfs.read_processes()).get(marker))

    assert index.agents[marker] == [started(order).pid]
    assert launched.launcher_pid in index.launchers[marker]
    assert started(order).pid not in index.launchers[marker]
    assert procfs.environment_value(launched.launcher_pid, LAUNCH_MARKER) == marker


def test_the_index_reads_an_environment_once_for_each_image(yard, monkeypatch):
    order = yard.start("sh", "-c", "read line </dev/null; sleep 0.3; exec sleep 60")
    marker = order.env[MARKER]
    index = MarkerIndex()
    eventually(lambda: index.refresh(procfs.read_processes()).get(marker))
    pid = started(order).pid
    reads = []
    real = procfs.environment
    monkeypatch.setattr(procfs, "environment", lambda asked: reads.append(asked) or real(asked))

    eventually(
        lambda: (
            index.refresh(procfs.read_processes())
            and (process := procfs.read_process(pid))
            and process.comm == "sleep"
        )
    )
    for _time in range(5):
        index.refresh(procfs.read_processes())

    assert 1 <= reads.count(pid) <= 3
    assert pid in index.agents[marker]


def test_a_zombie_carries_no_marker(yard):
    program = "import os, time; os.fork() or os._exit(0); print('forked', flush=True); time.sleep(60)"
    order = yard.start(sys.executable, "-c", program)
    output(order, b"forked")
    pid = started(order).pid

    eventually(lambda: any(one.ppid == pid and one.state == "Z" for one in procfs.read_processes().values()))

    assert [process.pid for process in find_by_marker(order.env[MARKER])] == [pid]


def test_hundred_agents_start_quickly_and_cost_little(yard):
    begun, used = time.monotonic(), time.process_time()

    orders = [yard.start("sleep", "60") for _number in range(100)]
    used = time.process_time() - used
    runs = [started(order) for order in orders]

    assert time.monotonic() - begun < 5
    assert used / 100 < 0.005
    assert len({run.pid for run in runs}) == 100
    yard.observe_launchers = MarkerIndex()
    yard.observe_launchers.refresh(procfs.read_processes())
    pids = [pid for order in orders for pid in yard.observe_launchers.launchers[order.env[MARKER]]]
    assert sum(proportional_size(pid) for pid in pids) / 100 < 3_000_000


def proportional_size(pid):
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def test_a_launcher_that_ended_leaves_no_zombie(yard):
    order = yard.start("true")
    pid = yard.launched[order.env[MARKER]].launcher_pid

    exit_code(order)

    eventually(lambda: not is_running(pid))
    reap_detached()
    assert procfs.read_process(pid) is None


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
def test_any_shell_will_do(yard, monkeypatch, tmp_path, shell):
    found = launcher.shutil.which(shell)
    if found is None:
        pytest.skip(f"{shell} isn't installed")
    link = tmp_path / "sh"
    link.symlink_to(found)
    monkeypatch.setattr(launcher, "_shell", lambda: str(link))

    ended = yard.start("sh", "-c", 'echo é "$1"; kill -INT $$', "-", "a\nb")
    killed = yard.start("sleep", "60")
    started(killed)
    os.kill(started(killed).pid, signal.SIGKILL)

    assert exit_code(ended) == 130
    assert output(ended, b"b\n") == "é a\nb\n".encode()
    assert exit_code(killed) == 137
