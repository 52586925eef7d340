import random
import time

import pytest
from django.db import OperationalError
from msgspec.structs import replace

from apps.lib.redis import connection
from apps.telemetry import actions, ingest
from apps.telemetry import snapshot as snapshots
from apps.telemetry.domain.packing import unpacked
from apps.telemetry.domain.sample import Reading
from apps.telemetry.domain.sketch import Sketch
from apps.telemetry.domain.subjects import Labels
from apps.telemetry.domain.tally import Tally
from apps.telemetry.exceptions import CheckpointMoved
from apps.telemetry.ingest import encode_body
from apps.telemetry.models import AgentTotal, Checkpoint, Rollup
from apps.telemetry.queries import recorded, totals_of_groups
from apps.telemetry.service import Telemetry
from apps.telemetry.stream import Stream
from tests.telemetry.factories import arrive, held_bytes, make_body, read_off

pytestmark = pytest.mark.django_db(transaction=True)


def started(client) -> Telemetry:
    telemetry = Telemetry(client, tick_seconds=0.25)
    telemetry.start()
    return telemetry


def kept(resolution: int, subject: str | None = None) -> list[tuple[int, Tally]]:
    """What the rollups of one subject say, by stretch; without a subject, of every agent."""
    rows = Rollup.objects.filter(resolution=resolution)
    rows = rows.filter(subject=subject) if subject else rows.filter(subject__startswith="agent:")
    return [cell for row in rows.order_by("start") for cell in unpacked(bytes(row.cells), row.start)]


@pytest.fixture
def client(redis_server):
    return connection(read_timeout=6.0)


def test_it_writes_buckets_that_are_over(client):
    past = time.time() - 100
    arrive(client, past, 10.0, 20.0, agent=1)
    arrive(client, past + 20, 30.0, agent=1, outcome="error", wait_ms=5.0, wait_kind="slot")
    arrive(client, past + 20, 40.0, agent=2, outcome="induced")
    started(client).tick()

    first = recorded(1)
    assert (first.operations, first.ok, first.errors, first.induced) == (3, 2, 1, 0)
    assert (first.duration_ms, first.wait_ms) == (60.0, 5.0)
    assert recorded(2).induced == 1
    assert recorded(3).operations == 0
    assert sum(tally.operations for _, tally in kept(10)) == 4
    assert [tally.waits for _, tally in kept(10, "agent:1")] == [None, {"slot": 5.0}]


def test_an_entry_of_an_older_gateway_has_neither_host_nor_repository(client):
    past = time.time() - 60
    fields = {"a": 1, "g": "w1", "r": "coder", "s": make_body(10.0, end=past), "n": 0}
    client.xadd(ingest.STREAM, fields, id=f"{int(past * 1000)}-1")
    client.xadd(ingest.STREAM, {"p": encode_body([[1, "w1", "coder", past, 5, 0.5]]), "n": 0})

    telemetry = started(client)
    telemetry.tick()

    assert telemetry.live.agents[1].labels == Labels("w1", "coder", "", "")
    assert telemetry.live.agents[1].memory == 5
    assert recorded(1).operations == 1


def test_it_keeps_totals_of_each_wave_with_their_durations(client):
    past = time.time() - 100
    arrive(client, past, 10.0, 20.0, agent=1)
    telemetry = started(client)
    telemetry.tick()
    arrive(client, past + 20, 30.0, agent=2, outcome="error", wait_ms=5.0, wait_kind="slot")
    arrive(client, past + 20, 7.0, agent=3, group="w2")
    read_off(client, past + 21, Reading(4, "w3", "builder", past, 1, 0.5, 0, 0))
    telemetry.tick()
    started(client).tick()  # after a restart nothing counts again

    first, second = totals_of_groups(["w1", "w2", "w3"])
    assert (first.group, first.role, first.operations, first.errors) == ("w1", "builder", 3, 1)
    assert (first.duration_ms, first.wait_ms) == (60.0, 5.0)
    assert Sketch.from_bytes(bytes(first.sketch)).counts_up_to([15.0, 25.0, 35.0]) == [1, 2, 3]
    assert (second.group, second.operations) == ("w2", 1)


def test_it_says_until_when_its_totals_are_exact(client):
    telemetry = started(client)
    telemetry.tick()
    assert 0 <= time.time() - recorded(1).until <= 12

    arrive(client, time.time(), 10.0)
    telemetry.tick()
    telemetry.finish()

    assert recorded(1).operations == 1
    assert time.time() - recorded(1).until < 5


def test_a_bucket_that_is_not_over_waits(client):
    now = Stream(client).now()
    arrive(client, now - 60, 10.0)
    arrive(client, now, 10.0)

    started(client).tick()

    assert recorded(1).operations == 1


def test_a_minute_holds_what_its_seconds_hold(client):
    past = time.time() // 60 * 60 - 600
    values = [float(value) for value in range(1, 61)]
    for number, value in enumerate(values):
        arrive(client, past + number, value, wait_ms=1.0, wait_kind="slot")
    telemetry = started(client)
    telemetry.tick()
    arrive(client, past + 100, 1000.0, end=past + 59)
    telemetry.tick()

    [(start, minute)] = kept(60, "agent:1")
    assert (start, minute.operations, minute.max_ms, minute.waits) == (past, 61, 1000.0, {"slot": 60.0})
    assert minute.sketch.quantiles(0.5) == [pytest.approx(31, rel=0.01)]
    for resolution in (1, 10):
        assert sum(tally.operations for _, tally in kept(resolution, "agent:1")) == 61


def test_readings_are_kept_with_the_bucket(client):
    past = time.time() - 60
    for memory, cores in [(100, 1.0), (300, 0.5), (200, 0.0)]:
        read_off(client, past // 10 * 10, Reading(1, "w1", "builder", past, memory, cores))
    started(client).tick()

    [(_, tally)] = kept(10, "agent:1")
    assert (tally.memory, tally.cpu, tally.readings, tally.operations) == (300, 1.5, 3, 0)


def test_a_restart_counts_nothing_twice_and_misses_nothing(client):
    past = time.time() - 200
    for second in range(0, 150, 3):
        arrive(client, past + second, 10.0, agent=second % 2)
    first = started(client)
    first.tick()
    arrive(client, time.time(), 10.0, agent=1)
    first.tick()  # and is killed here: what it read and didn't write is lost with it

    second_life = started(client)
    second_life.tick()
    second_life.finish()
    started(client).finish()

    assert (recorded(0).operations, recorded(1).operations) == (25, 26)


def test_a_bucket_that_was_written_in_part_is_added_to(client):
    now = Stream(client).now() // 10 * 10
    arrive(client, now, 10.0)
    started(client).finish()
    arrive(client, now + 0.001, 20.0)
    started(client).finish()

    for resolution in (1, 10, 60):
        [(_, tally)] = kept(resolution, "agent:1")
        assert (tally.operations, tally.duration_ms, tally.sketch.count) == (2, 30.0, 2)


def test_a_failed_write_leaves_nothing_behind(client, monkeypatch):
    arrive(client, time.time() - 60, 10.0)
    telemetry = started(client)

    def fails(*args) -> None:
        raise OperationalError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(actions, "_add_totals", fails)
        with pytest.raises(OperationalError):
            telemetry.tick()
    assert not Rollup.objects.exists()

    started(client).tick()
    assert recorded(1).operations == 1


def test_of_two_processes_that_write_one_stops(client):
    arrive(client, time.time() - 60, 10.0)
    first, second = started(client), started(client)
    first.tick()

    with pytest.raises(CheckpointMoved):
        second.tick()

    assert recorded(1).operations == 1
    second.start()
    second.tick()
    assert recorded(1).operations == 1


def test_windows_are_the_same_after_a_restart(client):
    now, chance = Stream(client).now(), random.Random(3)
    for second in range(0, 3000, 7):
        at = now - 3000 + second
        late = chance.choice([0.0, 1.0, 20.0, 290.0, 4000.0])
        repository = chance.choice(["core", "site"])
        arrive(
            client,
            at,
            float(second + 1),
            agent=second % 3,
            repository=repository,
            end=at - late,
            kind=chance.choice(["build", "coordination.vote"]),
            wait_ms=2.0,
            wait_kind="slot",
        )
        if second % 49 == 0:
            read_off(client, at, Reading(1, "w1", "builder", now, 1000, 1.0, host="here"))
        if second % 500 < 7:
            telemetry = started(client)
            telemetry.tick()
    telemetry.tick()
    end = Stream(client).now() + 10  # some figures are looked up every ten seconds
    before = {window: telemetry.live.snapshot(window, end, tick=1) for window in (60, 300, 3600, 86400)}

    again = started(client)
    again.catch_up()

    for window, snapshot in before.items():
        now_and_then = again.live.snapshot(window, end, tick=1)
        assert now_and_then.totals == snapshot.totals
        # Memory of seconds that aren't written yet is gone; hosts read it anew each second.
        assert replace(now_and_then.charts, memory=[]) == replace(snapshot.charts, memory=[])
        assert now_and_then.groups == snapshot.groups
        for pk, figures in snapshot.agents.items():
            assert replace(now_and_then.agents[pk], last_at=None) == replace(figures, last_at=None)
    assert before[3600].totals.operations == pytest.approx(3000 / 7, abs=2)
    assert before[3600].totals.corrected > 50


def test_a_stream_that_was_lost_leaves_the_rollups(client):
    now = Stream(client).now()
    arrive(client, now - 900, 10.0)
    started(client).tick()
    client.flushall()

    again = started(client)
    again.tick()

    assert snapshots.read(3600).totals.operations == 1
    arrive(client, now, 10.0)
    again.finish()
    assert recorded(1).operations == 2


def test_a_stream_that_began_anew_under_an_earlier_clock_is_read_in_full(client):
    now = Stream(client).now()
    actions.current_mark(stream=ingest.STREAM)
    Checkpoint.objects.update(last_id=f"{int(now * 1000) + 3_600_000}-0")
    arrive(client, now - 60, 10.0)

    started(client).tick()

    assert recorded(1).operations == 1


def test_a_stream_that_lost_its_end_is_not_counted_again(client):
    now = Stream(client).now()
    arrive(client, now - 60, 10.0)
    lost = arrive(client, now - 30, 10.0)
    started(client).tick()
    client.xdel(ingest.STREAM, lost)

    again = started(client)
    again.tick()
    arrive(client, time.time(), 10.0)
    again.finish()

    assert recorded(1).operations == 3


def test_an_entry_that_cannot_be_read_is_skipped_aloud(client, caplog):
    past = time.time() - 60
    client.xadd(ingest.STREAM, {"a": "1", "g": "w", "r": "r", "s": b"\xc1junk"}, id=f"{int(past * 1000)}-1")
    arrive(client, past + 1, 10.0)

    started(client).tick()

    assert recorded(1).operations == 1
    assert "can't be read" in caplog.text


def test_it_lets_go_of_entries_that_are_counted(client):
    now = Stream(client).now()
    for age in (5000, 4000, 100):
        arrive(client, now - age, 10.0)
    telemetry = started(client)
    telemetry.tick()

    [(_, fields)] = client.xrange(ingest.STREAM)
    assert held_bytes(client) == len(fields[b"s"])


def test_it_never_lets_go_of_what_is_not_counted(client):
    now = Stream(client).now()
    arrive(client, now - 5000, 10.0)
    stream = Stream(client)

    stream.trim(counted=(0, 0))

    assert client.xlen(ingest.STREAM) == 1


def test_an_empty_stream_holds_no_bytes(client):
    now = Stream(client).now()
    arrive(client, now - 5000, 10.0)

    stream = Stream(client)
    stream.trim(counted=(int(now * 1000), 0))

    assert held_bytes(client) == 0
    assert client.xlen(ingest.STREAM) == 0


def test_snapshots_go_out_with_a_hint(client):
    pubsub = client.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe("yard:hints")
    pubsub.get_message(timeout=1)
    arrive(client, time.time() - 5, 10.0)

    started(client).tick()

    messages = [pubsub.get_message(timeout=1) for _ in range(4)]
    assert messages[0]["data"] == b'{"topic": "telemetry", "pk": 60}'
    assert snapshots.read(60).totals.operations == 1
    assert snapshots.read(61) is None


def test_longer_windows_go_out_less_often(client):
    telemetry = started(client)
    telemetry.tick()
    now = telemetry.stream.now() // 60 * 60 + 91.5
    telemetry._publish(now)
    ticks = {window: snapshots.read(window).at for window in (60, 300)}
    telemetry._publish(now + 1.0)

    assert snapshots.read(60).at > ticks[60]
    assert snapshots.read(300).at == ticks[300]


def test_old_rollups_are_deleted_and_totals_stay(client):
    now = Stream(client).now()
    for age in (31 * 86_400, 29 * 86_400, 25 * 3600, 2 * 3600, 600):
        arrive(client, now - age, 10.0)
    started(client).tick()

    assert recorded(1).operations == 5
    assert [len(kept(resolution, "agent:1")) for resolution in (1, 10, 60)] == [1, 2, 4]
    assert AgentTotal.objects.count() == 1


def test_deleting_is_bounded(client, monkeypatch):
    monkeypatch.setattr(actions, "DELETED_AT_ONCE", 2)
    Rollup.objects.bulk_create(
        Rollup(subject=f"agent:{agent}", resolution=10, start=0, cells=b"") for agent in range(5)
    )

    assert [actions.delete_old(now=time.time()) for _ in range(4)] == [2, 2, 1, 0]
