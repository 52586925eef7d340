"""Who waits for whom, as the kernel tells it of real locks."""

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from apps.lib.kernel_locks import File, Waiting, open_files, parse, read_waiting

SAID = """\
1: POSIX  ADVISORY  WRITE 29114 fe:00:4122016 120 120
2: FLOCK  ADVISORY  WRITE 30483 fe:00:2353559 0 EOF
2: -> FLOCK  ADVISORY  WRITE 30487 fe:00:2353559 0 EOF
2: -> FLOCK  ADVISORY  READ 30488 fe:00:2353559 0 EOF
3: LEASE  ACTIVE    READ  5061 08:02:1311 0 EOF
4: OFDLCK ADVISORY  WRITE -1 fe:10:7 0 EOF
4: -> POSIX  ADVISORY  WRITE 77 fe:10:7 0 EOF
"""


def test_it_reads_what_the_kernel_says():
    assert parse(SAID.splitlines()) == [
        Waiting(30487, 30483, File(0xFE, 0, 2353559)),
        Waiting(30488, 30483, File(0xFE, 0, 2353559)),
        Waiting(77, 0, File(0xFE, 0x10, 7)),
    ]


@pytest.fixture
def waiting(tmp_path):
    """A file that we hold, and a process that waits for it."""
    path = tmp_path / "a lock"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        script = "import fcntl, sys; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX)"
        process = subprocess.Popen([sys.executable, "-c", script, str(path)])
        yield path, process
        process.kill()
        process.wait()


def reading_of(process: subprocess.Popen[bytes]) -> Waiting:
    deadline = time.monotonic() + 20
    while True:
        found = [wait for wait in read_waiting() if wait.waiter == process.pid]
        if found:
            return found[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_sees_a_real_wait_with_its_holder_and_file(waiting):
    path, process = waiting

    seen = reading_of(process)

    assert seen.holder == os.getpid()
    assert seen.file.inode == path.stat().st_ino
    assert Path(open_files(process.pid)[seen.file]) == path


def test_it_knows_no_files_of_a_process_that_is_gone(waiting):
    _, process = waiting
    process.kill()
    process.wait()

    assert open_files(process.pid) == {}
