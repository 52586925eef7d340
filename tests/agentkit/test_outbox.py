from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit import spool
from agentkit.outbox import Outbox
from agentkit.samples import Sample, make_sample


def sample(number: int = 0) -> Sample:
    return make_sample("edit", end=number, ms=1)


def ends(samples: list[Sample]) -> list[object]:
    return [each[1] for each in samples]


def test_it_holds_samples_until_the_flush_time() -> None:
    outbox = Outbox(flush_after=0.25)
    outbox.add(sample(), 10.0)
    outbox.add(sample(), 10.1)

    assert outbox.due_at() == 10.25
    assert outbox.next_frame(10.2) is None
    sent = outbox.next_frame(10.25)
    assert sent is not None
    assert (sent.seq, len(sent.samples)) == (1, 2)


def test_a_full_batch_leaves_at_once_and_wakes_the_sender() -> None:
    outbox = Outbox()
    wakes = [outbox.add(sample(), 10.0) for _ in range(256)]

    sent = outbox.next_frame(10.0)

    assert [index for index, wake in enumerate(wakes) if wake] == [0, 255]
    assert sent is not None
    assert len(sent.samples) == 256


def test_flushing_sends_what_there_is() -> None:
    outbox = Outbox()
    outbox.add(sample(), 10.0)

    assert outbox.next_frame(10.0, flushing=True) is not None
    assert outbox.next_frame(10.0, flushing=True) is None


def test_a_full_window_holds_everything_back() -> None:
    outbox = Outbox()
    outbox.window = 2
    outbox.batch = 1
    for number in range(3):
        outbox.add(sample(number), 10.0)
    outbox.next_frame(10.0)
    outbox.next_frame(10.0)

    assert outbox.due_at(flushing=True) is None
    assert outbox.next_frame(99.0, flushing=True) is None
    outbox.acknowledge(1)
    third = outbox.next_frame(99.0)
    assert third is not None
    assert (third.seq, ends(third.samples)) == (3, [2])


def test_it_drops_the_oldest_that_wait_but_nothing_that_is_on_the_wire() -> None:
    outbox = Outbox(capacity=3)
    outbox.add(sample(1), 10.0)
    on_wire = outbox.next_frame(10.0, flushing=True)
    for number in (2, 3, 4, 5):
        outbox.add(sample(number), 10.0)

    following = outbox.next_frame(10.0, flushing=True)

    assert on_wire is not None
    assert following is not None
    assert ends(on_wire.samples) == [1]
    assert ends(following.samples) == [4, 5]
    assert outbox.dropped == 2


def test_an_acknowledgement_counts_once() -> None:
    outbox = Outbox()
    outbox.add(sample(), 10.0)
    outbox.next_frame(10.0, flushing=True)

    assert outbox.acknowledge(1)
    assert not outbox.acknowledge(1)
    assert not outbox.acknowledge(77)
    assert (outbox.acked, outbox.left(), outbox.is_empty()) == (1, 0, True)


def test_what_the_gateway_never_takes_is_counted_as_dropped() -> None:
    outbox = Outbox()
    outbox.add(sample(), 10.0)
    outbox.next_frame(10.0, flushing=True)

    outbox.give_up(1)

    assert (outbox.dropped, outbox.left()) == (1, 0)


def test_a_status_travels_once_and_without_samples_if_need_be() -> None:
    outbox = Outbox()
    outbox.tell(10.0, now="cargo\ncheck", state="busy")
    first = outbox.next_frame(10.0, flushing=True)
    outbox.tell(11.0, now="cargo\ncheck", state="busy")
    unchanged = outbox.due_at()
    outbox.tell(12.0, state="idle")
    second = outbox.next_frame(12.0, flushing=True)

    assert first is not None
    assert (first.status, first.samples) == ({"now": "cargo?check", "state": "busy"}, [])
    assert unchanged is None
    assert second is not None
    assert second.status == {"now": "cargo?check", "state": "idle"}


def test_what_memory_cannot_hold_comes_back_from_the_disk_in_order(tmp_path: Path) -> None:
    outbox = Outbox(capacity=300, spool_directory=str(tmp_path))
    for number in range(2_000):
        outbox.add(sample(number), 10.0)

    arrived: list[object] = []
    while (sent := outbox.next_frame(11.0, flushing=True)) is not None:
        arrived += ends(sent.samples)
        outbox.acknowledge(sent.seq)

    assert arrived == list(range(2_000))
    assert (outbox.acked, outbox.dropped, outbox.left()) == (2_000, 0, 0)
    assert list(tmp_path.iterdir()) == []  # the files have no name


def test_a_full_spool_drops_the_oldest_and_counts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "MAX_BYTES", 50_000)
    monkeypatch.setattr(spool, "SEGMENT_BYTES", 10_000)
    outbox = Outbox(capacity=300, spool_directory=str(tmp_path))
    for number in range(20_000):
        outbox.add(sample(number), 10.0)
    held = outbox.left()

    arrived: list[object] = []
    while (sent := outbox.next_frame(11.0, flushing=True)) is not None:
        arrived += ends(sent.samples)
        outbox.acknowledge(sent.seq)

    assert outbox.dropped == 20_000 - held > 0
    assert arrived == list(range(20_000 - held, 20_000))


def test_a_disk_that_takes_nothing_leaves_memory(tmp_path: Path) -> None:
    outbox = Outbox(capacity=300, spool_directory=str(tmp_path / "nowhere"))
    for number in range(2_000):
        outbox.add(sample(number), 10.0)

    assert outbox.dropped + outbox.left() == 2_000
    assert outbox.left() >= 256
    sent = outbox.next_frame(11.0, flushing=True)
    assert sent is not None
    assert len(sent.samples) == 256


@pytest.mark.parametrize("spools", [False, True])
@given(
    st.lists(st.one_of(st.just("add"), st.just("send"), st.integers(1, 12)), max_size=200), st.integers(1, 30)
)
@settings(max_examples=150, deadline=None)
def test_every_sample_is_acknowledged_held_or_dropped_and_memory_is_bounded(
    spools: bool, steps: list[str | int], capacity: int
) -> None:
    outbox = Outbox(capacity=capacity, spool_directory=tempfile.gettempdir() if spools else None)
    outbox.batch = 4
    outbox.window = 3
    added = 0
    for now, step in enumerate(steps):
        if step == "add":
            outbox.add(sample(), float(now))
            added += 1
        elif step == "send":
            outbox.next_frame(float(now), flushing=True)
        elif isinstance(step, int):
            outbox.acknowledge(step)

        assert outbox.acked + outbox.dropped + outbox.left() == added
        assert spools or outbox.left() <= capacity
        assert len(outbox.unacknowledged()) <= 3
        assert [sent.seq for sent in outbox.unacknowledged()] == sorted(
            sent.seq for sent in outbox.unacknowledged()
        )
        assert all(sent.samples for sent in outbox.unacknowledged())
