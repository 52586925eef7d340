"""Bad input and broken surroundings: refused aloud, bounded, and nothing that was acknowledged is lost."""

import random
import time
from contextlib import suppress

import msgspec
import pytest
from django.db import connection

from agentkit.client import Client
from apps.gateway import frames
from apps.lib.redis import connection as redis_connection
from apps.telemetry import ingest
from apps.telemetry import snapshot as snapshots
from apps.telemetry.domain.tally import MAX_KINDS, OTHER, total
from apps.telemetry.models import Rollup
from apps.telemetry.queries import recorded
from apps.telemetry.stream import Stream
from tests.gateway.processes import AgentClient, TelemetryProcess, sample, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def entries() -> int:
    return redis_connection().xlen(ingest.STREAM)


def test_a_truncated_frame_is_refused_wherever_it_ends(gateway, make_agent):
    whole = msgspec.msgpack.encode({"v": 1, "client": "c0ffee00", "seq": 1, "samples": [sample()] * 3})
    chance = random.Random(3)
    for length in sorted(chance.sample(range(1, len(whole)), 12)):
        with pytest.raises(frames.FrameError, match="Not a frame"):
            frames.decode_frame(whole[:length])
    _, token = make_agent()
    with AgentClient(gateway, token) as client:
        client.receive()
        client.socket.send(whole[:-1])
        assert client.receive()["code"] == "bad_frame"
        assert client.close_code() == 4400

    assert entries() == 0


def test_no_bytes_at_all_break_the_decoder():
    chance = random.Random(4)
    whole = msgspec.msgpack.encode({"v": 1, "client": "c0ffee00", "seq": 1, "samples": [sample()] * 3})
    for _ in range(5_000):
        broken = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        with suppress(frames.FrameError):  # anything else is a way to end a socket's task
            frames.decode_frame(bytes(broken))


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf"), -1.0, -1e-9, 1e300])
@pytest.mark.parametrize("place", [1, 2, 3])
def test_numbers_that_measure_nothing_are_refused(number, place):
    row = ["build", 1_800_000_000.0, 10.0, 0.0, "ok"]
    row[place] = number
    with pytest.raises(frames.FrameError, match="Not a frame"):
        frames.decode_frame(
            msgspec.msgpack.encode({"v": 1, "client": "c0ffee00", "seq": 1, "samples": [row]})
        )


def test_the_names_that_are_remembered_as_right_are_bounded(monkeypatch):
    monkeypatch.setattr(frames, "known_names", set())
    rows = [[f"kind-{number}", 1.0, 1.0, 0.0, "ok"] for number in range(256)]
    for first in range(0, 2 * frames.KNOWN_NAMES, 256):
        for number, row in enumerate(rows):
            row[0] = f"kind-{first + number}"
        frames.decode_frame(msgspec.msgpack.encode({"v": 1, "client": "c0ffee00", "seq": 1, "samples": rows}))
    assert len(frames.known_names) <= frames.KNOWN_NAMES

    with pytest.raises(frames.FrameError, match="kind"):
        frames.decode_frame(
            msgspec.msgpack.encode(
                {"v": 1, "client": "c0ffee00", "seq": 1, "samples": [["No Kind", 1.0, 1.0, 0.0, "ok"]]}
            )
        )


def test_as_many_samples_as_a_frame_may_have_are_taken_and_one_more_is_not(gateway, make_agent):
    _, token = make_agent()
    with AgentClient(gateway, token) as client:
        client.receive()
        client.send(1, *[sample()] * frames.MAX_SAMPLES)
        assert client.acknowledged() == 1
        client.send(2, *[sample()] * (frames.MAX_SAMPLES + 1))
        refused = client.receive()
        assert (refused["code"], refused["seq"]) == ("bad_frame", 2)
        assert "256" in refused["error"]

    assert entries() == 1


def test_a_frame_of_exactly_the_limit_is_taken_and_one_byte_more_is_not(gateway, make_agent):
    def of_size(seq: int, size: int) -> bytes:
        frame = {"v": 1, "client": "c0ffee00", "seq": seq, "samples": [sample()], "more": b"\0" * 2**17}
        return msgspec.msgpack.encode(
            frame | {"more": b"\0" * (size - len(msgspec.msgpack.encode(frame)) + 2**17)}
        )

    _, token = make_agent()
    with AgentClient(gateway, token) as client:
        client.receive()
        whole = of_size(1, frames.MAX_BYTES)
        assert len(whole) == 1024 * 1024
        client.socket.send(whole)
        assert client.acknowledged() == 1
        client.socket.send(of_size(2, frames.MAX_BYTES + 1))
        assert client.close_code() == 1009

    assert entries() == 1


def test_numbers_that_come_twice_and_in_any_order_add_each_frame_once(gateway, make_agent):
    _, token = make_agent()
    order = [3, 1, 3, 2, 8, 1, 5, 4, 8, 7, 6, 2, 5]
    with AgentClient(gateway, token) as client:
        client.receive()
        for seq in order:
            client.send(seq, sample())
            assert client.acknowledged() == seq

    assert entries() == 8


def test_times_that_are_a_year_off_count_at_their_arrival_and_are_flagged(gateway, make_agent):
    year, now = 365 * 86_400.0, time.time()
    _, token = make_agent()
    with AgentClient(gateway, token) as client:
        client.receive()
        client.send(1, *[["build", now + off, 10.0, 0.0, "ok"] for off in (-year, 0.0, year)])
        assert client.acknowledged() == 1

    [entry] = Stream(redis_connection()).take()[1]
    counted = total(entry.parts.values())
    assert (counted.operations, counted.corrected) == (3, 2)
    assert all(abs(second - entry.at) < 300 for second in entry.parts)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_million_kinds_are_all_counted_and_cost_next_to_nothing(gateway, make_agent, redis_server):
    agent, token = make_agent()
    telemetry = TelemetryProcess(redis_server.url)
    try:
        wait_until(lambda: "reads the sample stream" in telemetry.output(), what="it starts")
        with AgentClient(gateway, token) as client:
            client.receive()
            send_kinds(client, first_seq=1, numbers=range(100_000))
            wait_until(lambda: sum(shown_kinds().values()) == 100_000, what="the first are counted")
            before = gateway.resident_bytes(), telemetry.resident_bytes()
            send_kinds(client, first_seq=1_000, numbers=range(100_000, 1_000_000))
        wait_until(lambda: sum(shown_kinds().values()) == 1_000_000, seconds=120, what="all are counted")
        grown = gateway.resident_bytes() - before[0], telemetry.resident_bytes() - before[1]
        kinds = shown_kinds()
        assert telemetry.terminate() == 0, telemetry.output()
    finally:
        telemetry.kill()

    assert len(kinds) <= MAX_KINDS + 1
    assert kinds[OTHER] == 1_000_000 - MAX_KINDS
    assert max(grown) < 40 * 1024 * 1024  # the names alone are 11 MB, and a dictionary of them 150 MB
    assert recorded(agent.pk).operations == 1_000_000
    assert max(len(bytes(cells)) for cells in Rollup.objects.values_list("cells", flat=True)) < 100_000


def send_kinds(client: AgentClient, *, first_seq: int, numbers: range) -> None:
    for seq, first in enumerate(range(numbers.start, numbers.stop, 250), start=first_seq):
        client.send(seq, *[[f"kind-{number}", 0.0, 1.0, 0.0, "ok"] for number in range(first, first + 250)])
        assert client.acknowledged() == seq


def shown_kinds() -> dict[str, int]:
    """Of whole seconds that are over: the count of all operations is ahead of it."""
    snapshot = snapshots.read(3600)
    return snapshot.totals.kinds or {} if snapshot else {}


@pytest.mark.slow
def test_an_agent_that_reconnects_all_the_time_is_counted_once_and_costs_nothing(gateway, make_agent):
    _, token = make_agent()
    started = 0
    for number in range(1, 1_001):
        with AgentClient(gateway, token) as client:
            client.receive()
            if number % 10 == 1:  # now and then it says something, twice
                seq = number // 10 + 1
                for _ in range(2):
                    client.send(seq, sample())
                    assert client.acknowledged() == seq
        if number == 200:
            started = gateway.resident_bytes()

    assert entries() == 100
    assert gateway.resident_bytes() - started < 15 * 1024 * 1024


def test_a_redis_that_is_full_is_told_and_clients_keep_their_samples(
    gateway, make_agent, redis_server, tmp_path
):
    _, token = make_agent()
    admin = redis_server.client()
    client = Client(gateway.url, token, capacity=300, flush_after=0.01, spool_directory=str(tmp_path))
    client.report("build", ms=1)
    wait_until(lambda: entries() == 1, what="the first sample arrives")
    before = len(gateway.output())
    admin.config_set("maxmemory", "1")
    try:
        for _ in range(3_000):  # ten times what memory holds
            client.report("build", ms=1)
        wait_until(lambda: "sample store is away" in client.problem, what="the client is told")
        wait_until(
            lambda: "samples can't be stored" in gateway.output()[before:], what="the operator is told"
        )
        assert "maxmemory" in gateway.output()[before:]
    finally:
        admin.config_set("maxmemory", "0")
    receipt = client.close(timeout=60)

    assert (receipt.acked, receipt.lost, receipt.dropped) == (3_001, 0, 0)


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="SQLite alone has one lock for all writers")
def test_a_database_that_is_locked_for_30_s_holds_no_agent_up_and_loses_nothing(
    gateway, make_agent, redis_server
):
    agent, token = make_agent()
    telemetry = TelemetryProcess(redis_server.url)
    try:
        wait_until(lambda: "reads the sample stream" in telemetry.output(), what="it starts")
        with AgentClient(gateway, token) as client, connection.cursor() as cursor:
            client.receive()
            cursor.execute("BEGIN IMMEDIATE")
            until, seq = time.monotonic() + 30, 0
            while time.monotonic() < until:
                seq += 1
                client.send(seq, sample())
                assert client.acknowledged() == seq
                time.sleep(0.05)
            cursor.execute("ROLLBACK")
        wait_until(lambda: recorded(agent.pk).operations == seq, what="all of it is counted")
        assert telemetry.terminate() == 0, telemetry.output()
    finally:
        telemetry.kill()

    assert recorded(agent.pk).operations == seq
