"""What a row keeps of its stretches."""

import zlib

import msgspec
import pytest

from apps.telemetry.domain.live import Gauge
from apps.telemetry.domain.packing import packed_with, unpacked
from apps.telemetry.domain.pending import Pending
from apps.telemetry.domain.rolling import ROW_SECONDS, Place, rolled_up
from apps.telemetry.domain.subjects import Labels
from apps.telemetry.domain.tally import Tally, tally_of, total
from tests.telemetry.factories import make_sample

START = 1_800_000_000
LABELS = Labels("w1", "coder", "here", "core")


def tally(*milliseconds: float) -> Tally:
    samples = [
        make_sample(ms, kind="coordination", wait_ms=1.0, wait_kind="slot", memory=5) for ms in milliseconds
    ]
    return tally_of(samples)


def test_what_is_packed_comes_out_as_it_was():
    kept = tally(1.0, 2.0)
    kept.read(7, 0.5)
    kept.add_group("w1", 2)
    kept.corrected = 1

    [(start, found)] = unpacked(packed_with(b"", START, {START + 3: kept}), START)

    assert start == START + 3
    assert found.sketch.to_bytes() == kept.sketch.to_bytes()
    for name in Tally.__slots__:
        assert name == "sketch" or getattr(found, name) == getattr(kept, name), name


def test_a_write_adds_to_what_is_there_and_leaves_the_rest():
    row = packed_with(b"", START, {START: tally(1.0), START + 1: tally(2.0)})

    row = packed_with(row, START, {START + 1: tally(3.0), START + 5: tally(4.0)})

    found = dict(unpacked(row, START))
    assert {at - START: one.operations for at, one in found.items()} == {0: 1, 1: 2, 5: 1}
    assert list(found) == sorted(found)
    assert found[START + 1].sketch.count == 2


def test_a_row_of_before_with_fewer_items_is_still_read():
    row = zlib.compress(msgspec.msgpack.encode([[0, 2, 1]]))

    [(_, found)] = unpacked(row, START)

    assert (found.operations, found.errors, found.waits) == (2, 1, None)
    assert found.sketch.count == 0


def test_every_resolution_holds_the_same():
    pending = Pending()
    for number in range(50):
        at = START + number
        parts = {at: tally(float(number + 1)), at - 200: tally(5.0)}
        pending.add((at * 1000, 0), agent=number % 3, labels=LABELS, parts=parts)

    found = rolled_up(pending.closed(START + 100))

    for resolution, width in ROW_SECONDS.items():
        for subject, count in (("yard", 100), ("agent:0", 34), ("host:here", 100), ("repository:core", 100)):
            rows = {
                place: cells
                for place, cells in found.items()
                if place[0] == resolution and place[2] == subject
            }
            assert sum(total(cells.values()).operations for cells in rows.values()) == count
            for place, cells in rows.items():
                assert all(place.start <= at < place.start + width and at % resolution == 0 for at in cells)


def test_what_a_group_uses_is_a_sum_at_one_moment_and_the_highest_over_time():
    pending = Pending()
    pending.add((START * 1000, 0), agent=1, labels=LABELS, parts={START: tally(1.0)})
    pending.gauge(START, {"yard": Gauge(100, 0.5), "wave:w1": Gauge(60, 0.25)})
    pending.gauge(START + 1, {"yard": Gauge(80, 1.5)})

    found = rolled_up(pending.closed(START + 100))

    yard = found[Place(10, START, "yard")][START]
    assert (yard.memory, yard.cpu, yard.readings) == (100, 2.0, 2)
    assert found[Place(10, START, "wave:w1")][START].memory == 60


@pytest.mark.parametrize("junk", [b"", b"no row", zlib.compress(b"\xc1")])
def test_what_is_no_row_is_refused(junk):
    with pytest.raises((zlib.error, msgspec.DecodeError)):
        list(unpacked(junk, START))
