"""Charts of any range, against a plain list of everything that ended in it."""

import math
import random
import time

import pytest

from apps.lib.redis import connection
from apps.telemetry import history
from apps.telemetry.actions import KEPT_SECONDS
from apps.telemetry.domain.packing import packed_with
from apps.telemetry.domain.tally import tally_of
from apps.telemetry.ingest import STREAM
from apps.telemetry.models import Checkpoint, Rollup
from apps.telemetry.service import Telemetry
from apps.telemetry.stream import Stream
from tests.telemetry.factories import arrive, make_sample

pytestmark = pytest.mark.django_db(transaction=True)
DAY = 86_400


@pytest.fixture
def client(redis_server):
    return connection(read_timeout=6.0)


def nearest_rank(values: list[float], quantile: float) -> float:
    return sorted(values)[max(1, math.ceil(quantile * len(values) - 1e-9)) - 1]


def keep(subject: str, resolution: int, start: int, *milliseconds: float) -> None:
    cells = packed_with(b"", start, {start: tally_of([make_sample(ms) for ms in milliseconds])})
    Rollup.objects.create(subject=subject, resolution=resolution, start=start, cells=cells)


def written_until(at: float) -> None:
    Checkpoint.objects.update_or_create(stream=STREAM, defaults={"last_id": "0-0", "until": at})


@pytest.mark.parametrize(
    ("age", "span", "points"), [(900, 600, 2000), (900, 600, 60), (7200, 3600, 100), (3 * DAY, 7200, 50)]
)
def test_points_hold_what_ended_in_them(client, age, span, points):
    now, chance = Stream(client).now(), random.Random(age)
    begin, ended = now - age, []
    for number in range(200):
        at, ms = begin + number * span / 200, chance.lognormvariate(3, 1)
        end = at - chance.choice([0.0, 1.0, 30.0]) * (number > 20)
        arrive(client, at, ms, agent=number % 2, end=end)
        ended.append((int(end), ms))
    telemetry = Telemetry(client, tick_seconds=1.0)
    telemetry.start()
    telemetry.tick()

    found = history.read("yard", ["operations", "p95", "max"], begin - 60, now, points)

    assert len(found.times) <= points
    for place, start in enumerate(found.times):
        inside = [ms for end, ms in ended if start <= end < start + found.width]
        if inside:
            assert found.lines["operations"][place] == len(inside)
            assert found.lines["max"][place] == max(inside)
            assert found.lines["p95"][place] == pytest.approx(nearest_rank(inside, 0.95), rel=0.01)
    assert sum(filter(None, found.lines["operations"])) >= 0.9 * len(ended)


def test_each_subject_has_a_history_of_its_own(client):
    now = Stream(client).now()
    arrive(client, now - 60, 10.0, agent=1, group="w1", host="a", repository="core")
    arrive(client, now - 60, 20.0, 30.0, agent=2, group="w2", host="b", repository="core")
    telemetry = Telemetry(client, tick_seconds=1.0)
    telemetry.start()
    telemetry.tick()

    counts = {
        subject: sum(filter(None, history.read(subject, ["operations"], now - 600, now).lines["operations"]))
        for subject in (
            "yard",
            "agent:1",
            "agent:2",
            "wave:w1",
            "wave:w2",
            "role:builder",
            "host:a",
            "repository:core",
        )
    }

    assert list(counts.values()) == [3, 1, 2, 1, 2, 3, 1, 3]


def test_a_point_in_which_nothing_was_heard_has_no_value_and_is_not_zero(client):
    now = int(time.time()) // 600 * 600
    keep("agent:1", 10, now - 600, 10.0)
    keep("agent:1", 10, now - 580)
    written_until(now)

    found = history.read("agent:1", ["throughput", "p50"], now - 600, now, 60, now=now)

    assert found.width == 10
    assert found.lines["throughput"][:4] == [0.1, None, 0.0, None]
    assert found.lines["p50"][:3] == [pytest.approx(10, rel=0.01), None, None]


def test_percentiles_over_days_are_of_all_values_and_not_averaged():
    now = int(time.time()) // DAY * DAY
    values = []
    for hour in range(20):
        batch = [1.0] * 99 if hour else [1000.0] * 9
        keep("yard", 3600, now - 2 * DAY + 3600 * hour, *batch)
        values += batch
    written_until(now)

    found = history.read("yard", ["p50", "p95", "p99"], now - 7 * DAY, now, 7, now=now)

    [place] = [place for place, value in enumerate(found.lines["p50"]) if value is not None]
    assert found.lines["p50"][place] == pytest.approx(1.0, rel=0.01)
    assert found.lines["p99"][place] == pytest.approx(nearest_rank(values, 0.99), rel=0.01)


@pytest.mark.parametrize("span", [60, 3600, 5 * 3600, DAY, 7 * DAY, 30 * DAY, 3650 * DAY])
@pytest.mark.parametrize("points", [1, 100, 2_000, 1_000_000])
def test_a_range_has_at_most_as_many_points_as_asked_for_and_never_more_than_the_most(span, points):
    now = 1_800_000_000.0
    written_until(now)

    found = history.read("yard", ["throughput"], now - span, now, points, now=now)

    assert len(found.times) <= min(points, history.MAX_POINTS)
    assert all(at % found.width == 0 for at in found.times)


@pytest.mark.parametrize(("age", "resolution"), [(1800, 1), (2 * 3600, 10), (2 * DAY, 60)])
def test_it_reads_rollups_that_still_hold_the_start(age, resolution):
    now = 1_800_000_000
    start = now - age
    assert age < KEPT_SECONDS[resolution]
    keep("yard", resolution, start // 60 * 60 + 60, 10.0)
    written_until(now)

    found = history.read("yard", ["operations"], start, start + 300, now=now)

    assert found.width == resolution
    assert sum(filter(None, found.lines["operations"])) == 1


def test_what_older_versions_kept_is_read_beside_what_is_kept_now():
    now = 1_800_000_000
    keep("yard", 300, now - 2 * DAY, 10.0)
    keep("yard", 3600, (now - 2 * DAY) // 3600 * 3600, 20.0)
    written_until(now)

    found = history.read("yard", ["operations"], now - 7 * DAY, now, 200, now=now)

    assert sum(filter(None, found.lines["operations"])) == 2


def test_what_is_not_written_yet_is_left_out():
    now = 1_800_000_000
    written_until(now - 12)

    assert history.read("yard", ["p50"], now - 60, now, now=now).times[-1] == now - 13


def test_a_metric_that_nobody_knows_is_refused():
    with pytest.raises(KeyError):
        history.read("yard", ["p42"], 0, 1)
