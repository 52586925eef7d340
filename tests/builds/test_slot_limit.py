"""How many builds a host lets run at once: less while memory is short, by what the kernel says of it."""

import pytest

from apps.builds import places
from apps.builds.domain.slots import is_short, slots
from apps.lib import procfs

CALM = """some avg10=0.00 avg60=1.20 avg300=40.80 total=172833
full avg10=0.00 avg60=0.70 avg300=30.10 total=101012
"""
SHORT = """some avg10=35.20 avg60=12.01 avg300=3.30 total=8234172
full avg10=20.11 avg60=6.50 avg300=1.20 total=4234172
"""
MEMINFO = """MemTotal:       24680244 kB
MemFree:          200000 kB
MemAvailable:   {available} kB
Buffers:          100000 kB
"""


@pytest.fixture
def says(monkeypatch, recorder, settings, tmp_path):
    """The host's limit when the kernel says this of its memory."""
    settings.BUILD_SLOTS = 8
    monkeypatch.setattr(procfs, "control_groups", lambda controller: [])

    def limit(pressure: str | None, available_mb: int) -> int:
        meminfo = MEMINFO.format(available=available_mb * 1024)
        texts = {"/proc/pressure/memory": pressure, "/proc/meminfo": meminfo}
        real_read, real_path = procfs._read, procfs.Path
        (tmp_path / "meminfo").write_text(meminfo)
        with monkeypatch.context() as now:
            now.setattr(
                procfs,
                "_read",
                lambda path, *more: (texts[path] or "").encode() if path in texts else real_read(path, *more),
            )
            now.setattr(
                procfs,
                "Path",
                lambda path: real_path(tmp_path / "meminfo" if path == "/proc/meminfo" else path),
            )
            recorder.set_slots()
        return int((places.slots() / "limit").read_text())

    return limit


def test_calm_memory_leaves_all_slots(says):
    assert says(CALM, 9_000) == 8


def test_memory_under_pressure_halves_them_until_it_is_calm_again(says):
    assert [says(SHORT, 9_000), says(CALM, 9_000)] == [4, 8]


def test_so_does_memory_of_which_little_is_left_even_where_the_kernel_tells_no_pressure(says, settings):
    settings.MEMORY_RESERVE_MB = 512

    assert [says(None, 600), says(None, 400)] == [8, 4]


@pytest.mark.parametrize(
    ("configured", "cpus", "short", "limit"),
    [
        (0, 4.0, False, 4),
        (0, 4.0, True, 2),
        (0, 1.5, False, 1),
        (0, None, True, 1),
        (1, 16.0, True, 1),
        (5, 2.0, True, 2),
    ],
)
def test_there_is_always_one(configured, cpus, short, limit):
    assert slots(configured=configured, usable_cpus=cpus, memory_is_short=short) == limit


@pytest.mark.parametrize(
    ("pressure", "available", "short"),
    [(None, 100, False), (20.0, 100, False), (20.1, 100, True), (0.0, 99, True), (None, 99, True)],
)
def test_when_memory_is_short(pressure, available, short):
    assert is_short(pressure=pressure, most_pressure=20.0, available=available, least_available=100) is short
