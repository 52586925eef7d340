"""What the logger makes of agents that print much, oddly, or on a full disk."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from apps.fleet import logs
from apps.fleet.launcher import MARKER, read_run
from tests.needs import needs, own_mounts

from .launching import eventually, exit_code, kept_output, output, started

ROOT = Path(__file__).parents[2]


def settled(order):
    """The size of the log once the agent and its logger are done."""
    exit_code(order, seconds=60)
    size = -1
    while (now := logs.total(order.run_dir)) != size or not now:
        size = now
        time.sleep(0.1)
    return size


def on_disk(order):
    sizes = []
    for path in order.run_dir.glob("out.*"):
        try:
            sizes.append(path.stat().st_size)
        except FileNotFoundError:
            continue
    return sum(sizes)


def test_a_line_is_readable_when_it_is_printed(yard):
    order = yard.start("sh", "-c", "echo first; sleep 60")

    assert output(order, b"first", seconds=2) == b"first\n"


def test_output_rolls_over_at_exact_offsets(yard):
    text = b"".join(b"%05d\n" % number for number in range(3000))

    order = yard.start("seq", "-f", "%05.0f", "0", "2999", segment_bytes=1000)

    assert settled(order) == len(text) == 18_000
    assert sorted(path.name for path in order.run_dir.glob("out.*")) in (
        ["out.17", "out.18"],
        ["out.18", "out.19"],  # the last segment was full to the brim, and so one more was begun
    )
    chunk = logs.read(order.run_dir, logs.first(order.run_dir))
    assert chunk.data == text[chunk.offset : chunk.next_offset]
    assert logs.tail(order.run_dir, lines=2).data == b"02998\n02999\n"


def test_a_reader_that_follows_loses_nothing_it_is_not_told_of(yard):
    order = yard.start("seq", "1", "300000", segment_bytes=200_000)
    seen, skipped, offset = [], 0, 0

    eventually(lambda: logs.total(order.run_dir) > 0)
    while True:
        ended = read_run(order.run_dir).exit_code is not None
        chunk = logs.read(order.run_dir, offset, 50_000)
        seen.append(len(chunk.data))
        skipped += chunk.skipped
        offset = chunk.next_offset
        if ended and not chunk.data and offset == settled(order):
            break

    assert sum(seen) + skipped == offset == sum(len(str(number)) + 1 for number in range(1, 300_001))


def test_bytes_of_any_kind_are_kept_as_they_are(yard):
    program = "import sys; sys.stdout.buffer.write(bytes(range(256)) * 4)"

    order = yard.start(sys.executable, "-c", program)

    assert settled(order) == 1024
    assert kept_output(order) == bytes(range(256)) * 4


def test_one_line_of_200_megabytes_stays_capped(yard):
    order = yard.start("head", "-c", "200000000", "/dev/zero", segment_bytes=1_000_000)
    largest = 0
    while read_run(order.run_dir).exit_code is None:
        largest = max(largest, on_disk(order))
        time.sleep(0.005)

    assert settled(order) == 200_000_000
    assert 0 < largest <= 2_000_000
    assert on_disk(order) <= 2_000_000
    assert logs.read(order.run_dir, 0, 10).skipped >= 198_000_000


@pytest.mark.slow
def test_one_line_of_a_gigabyte_stays_capped(yard):
    order = yard.start("head", "-c", "1000000000", "/dev/zero")

    assert settled(order) == 1_000_000_000
    assert on_disk(order) <= 20_000_000


def test_a_flood_of_lines_stays_capped_and_ends_with_its_agent(yard):
    order = yard.start("yes", "a line of output as agents print them", segment_bytes=4_000_000)
    largest = 0
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        largest = max(largest, on_disk(order))
        time.sleep(0.01)
    pid = started(order).pid

    os.killpg(pid, 15)

    assert exit_code(order) == 143
    assert settled(order) > 20_000_000
    assert largest <= 8_000_000
    assert logs.tail(order.run_dir, lines=2).data.startswith(b"a line of output")


def test_the_logger_outlives_a_broken_writer(yard):
    """Whatever ends one writing tool, the out-of-memory killer for one, the output goes on."""
    order = yard.start("sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done")
    output(order, b"3\n")
    index = yard.index
    yard.tree(order)
    heads = [pid for pid in index.launchers[order.env[MARKER]] if comm(pid) == "head"]

    for pid in heads:
        os.kill(pid, 9)
    before = logs.total(order.run_dir)

    assert len(heads) == 1
    eventually(lambda: logs.total(order.run_dir) > before + 100)
    assert b"output was lost here" not in kept_output(order)[:before]


def comm(pid):
    return Path(f"/proc/{pid}/comm").read_text().strip()


@needs("mounts")
def test_a_full_disk_neither_blocks_the_agent_nor_loses_its_exit_code(tmp_path):
    small, work = tmp_path / "small", tmp_path / "work"
    small.mkdir()
    work.mkdir()

    done = subprocess.run(
        [*own_mounts(), sys.executable, "-m", "tests.fleet.on_a_small_disk", str(small), str(work)],
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr.decode()
    result = json.loads(done.stdout)
    assert result["free"] == 0
    assert result["seconds"] < 5
    assert result["exit_code"] == 6
    assert re.fullmatch(r"(?s).*output was lost here.*\n(after\n)?end\n", result["tail"])
