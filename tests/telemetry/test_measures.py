"""Measures: tokens, cost and what else agents name, from the stream to rows and snapshots."""

import time

import pytest

from apps.lib.redis import connection
from apps.telemetry import actions, measure_rows
from apps.telemetry.domain.figures import Snapshot
from apps.telemetry.domain.live import Live
from apps.telemetry.domain.measured import LiveMeasures, MeasureSeries
from apps.telemetry.domain.measures import (
    MAX_MODELS,
    MAX_NAMES,
    MAX_SHOWN,
    Measure,
    Measured,
    add,
    clean_model,
    clean_name,
    figures,
    measures_of,
    tokens,
)
from apps.telemetry.domain.sample import Reading
from apps.telemetry.domain.sketch import Sketch
from apps.telemetry.domain.tally import OTHER
from apps.telemetry.ingest import BYTES_IN, BYTES_OUT, STREAM, encode_body
from apps.telemetry.models import AgentMeasureTotal, AgentModelTotal, RollupMeasure
from apps.telemetry.service import Telemetry
from apps.telemetry.stream import Stream
from tests.telemetry.factories import NUMBERS, arrive, measured_totals, read_off

database = pytest.mark.django_db(transaction=True)


def a_sum(name: str, amount: float, **models: float) -> Measure:
    return Measure(name, "", "sum", amount, models=models)


def a_gauge(name: str, amount: float) -> Measure:
    return Measure(name, "", "gauge", amount)


def some_values(name: str, *values: float) -> Measure:
    sketch = Sketch()
    for value in values:
        sketch.add(value)
    return Measure(name, "ms", "values", sum(values), len(values), sketch.to_bytes())


def report(client, at: float, *measures: Measure, agent: int = 1) -> None:
    """Puts measures into the stream as if they had arrived then."""
    body = encode_body(list(measures))
    fields = {"a": agent, "g": "w1", "r": "coder", "m": body, "n": client.incrby(BYTES_IN, len(body))}
    client.xadd(STREAM, fields, id=f"{int(at * 1000)}-{next(NUMBERS)}")


@pytest.fixture
def client(redis_server):
    return connection(read_timeout=6.0)


def started(client) -> Telemetry:
    telemetry = Telemetry(client, tick_seconds=1.0)
    telemetry.start()
    return telemetry


def test_sums_add_up_gauges_keep_the_last_and_values_are_spread():
    found = measures_of(
        [
            a_sum("a", 1),
            a_sum("a", 2.5),
            a_gauge("b", 7),
            a_gauge("b", 3),
            some_values("c", 10),
            some_values("c", 20, 30),
        ]
    )
    assert figures(found) == {
        "a": 3.5,
        "b": 3.0,
        "c/count": 3.0,
        "c/p50": pytest.approx(20, rel=0.01),
        "c/p95": pytest.approx(30, rel=0.01),
    }
    assert found["c"].amount == 60.0


def test_a_name_that_changes_its_shape_begins_anew():
    found = measures_of([a_sum("a", 5), a_gauge("a", 3), a_gauge("a", 4)])
    assert (found["a"].shape, found["a"].amount) == ("gauge", 4.0)


def test_further_names_are_counted_as_other():
    found = measures_of([a_sum(f"name{number:02}", 1000.0) for number in range(MAX_NAMES + 5)])
    assert len(found) == MAX_NAMES + 1
    assert (found[OTHER].shape, found[OTHER].amount) == ("sum", 5.0)
    add(found, "name00", Measured("", "sum", 1.0))
    add(found, "tokens.input", Measured("", "sum", 7.0))
    assert (found["name00"].amount, found["tokens.input"].amount) == (1001.0, 7.0)
    assert list(figures(found)) == [*[f"name{number:02}" for number in range(MAX_SHOWN)], "tokens.input"]


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("gen_ai.client.token.usage", "gen_ai.client.token.usage"),
        ("HTTP Requests/s", "http_requests_s"),
        ("x" * 100, "x" * 64),
        ("\x1b[31m", "31m"),
        ("日本", OTHER),
        ("", OTHER),
    ],
)
def test_names_are_cleaned_to_the_alphabet_of_kinds(name, cleaned):
    assert clean_name(name) == cleaned


def test_tokens_are_all_counts_that_do_not_overlap():
    assert tokens({"tokens.input": 5.0, "tokens.output": 2.0, "cost_usd": 1.0}) == 7.0
    assert tokens({"cost_usd": 1.0}) is None


@pytest.mark.parametrize(("window", "sum_of"), [(60, 3.0), (300, 7.0), (3600, 15.0), (86400, 31.0)])
def test_a_window_holds_what_arrived_in_it(window, sum_of):
    series, end = MeasureSeries(), 1_800_000_000
    for ago, amount in [(100_000, 32.0), (80_000, 16.0), (3_000, 8.0), (200, 4.0), (40, 2.0), (1, 1.0)]:
        series.add(end - ago, measures_of([a_sum("a", amount)]))
        series.drop_old(end - ago)

    assert series.window(window, end)["a"].amount == sum_of


def test_a_snapshot_shows_measures_of_each_agent_and_tokens_and_cost_of_all():
    live, measured, now = Live(), LiveMeasures(), 1_800_000_000.0
    reported = [
        (1, a_sum("tokens.input", 100)),
        (2, a_sum("tokens.output", 50)),
        (2, a_sum("cost_usd", 0.25)),
    ]
    for agent, measure in reported:
        live.read(at=now - 5, readings=[Reading(agent, "w1", "coder", now - 5, 1_000, 0.0)])
        measured.add(now - 5, agent, measures_of([measure]))
    found = live.snapshot(60, now, tick=1)
    measured.show(found)

    assert found.agents[1].measures == {"tokens.input": 100.0}
    assert found.agents[2].measures == {"cost_usd": 0.25, "tokens.output": 50.0}
    assert (found.totals.tokens, found.totals.cost_usd) == (150.0, 0.25)


def test_no_tokens_are_no_data_and_not_zero():
    snapshot = Live().snapshot(60, 1_800_000_000.0, tick=1)
    LiveMeasures().show(snapshot)
    assert (snapshot.totals.tokens, snapshot.totals.cost_usd) == (None, None)


def test_who_measured_nothing_for_a_day_is_forgotten():
    measured, now = LiveMeasures(), 1_800_000_000.0
    measured.add(now, 1, measures_of([a_sum("a", 1)]))
    measured.add(now + 80_000, 2, measures_of([a_sum("a", 1)]))
    measured.add(now + 90_000, 3, measures_of([a_sum("a", 1)]))
    assert list(measured._agents) == [2, 3]


@database
def test_it_writes_rollups_and_totals(client):
    past = time.time() // 300 * 300 - 600
    report(client, past, a_sum("tokens.input", 10), some_values("tool.latency", 5, 50))
    report(client, past + 15, a_sum("tokens.input", 20), a_gauge("depth", 4))
    report(client, past + 16, a_gauge("depth", 2), some_values("tool.latency", 500))
    report(client, past + 16, a_sum("tokens.input", 7), agent=2)
    started(client).tick()

    totals = measured_totals(1)
    assert {name: row.amount for name, row in totals.items()} == {
        "tokens.input": 30.0,
        "tool.latency": 555.0,
        "depth": 2.0,
    }
    assert totals["tool.latency"].count == 3
    assert measured_totals(2)["tokens.input"].amount == 7.0
    tens = RollupMeasure.objects.filter(resolution=10, agent=1, name="tokens.input").order_by("start")
    assert list(tens.values_list("start", "amount")) == [(past, 10.0), (past + 10, 20.0)]
    whole = RollupMeasure.objects.get(resolution=300, agent=1, name="tool.latency")
    assert (whole.start, whole.amount, whole.count) == (past, 555.0, 3)
    assert Sketch.from_bytes(bytes(whole.sketch)).quantiles(1.0) == [pytest.approx(500, rel=0.01)]


@database
def test_a_restart_counts_nothing_twice_and_misses_nothing(client):
    past = time.time() - 200
    for second in range(0, 150, 3):
        report(client, past + second, a_sum("tokens.input", 1), some_values("tool.latency", 10))
    first = started(client)
    first.tick()
    report(client, time.time(), a_sum("tokens.input", 1))
    first.tick()  # and is killed here: what it read and didn't write is lost with it

    second_life = started(client)
    second_life.tick()
    second_life.finish()
    started(client).finish()

    assert measured_totals(1)["tokens.input"].amount == 51.0
    assert measured_totals(1)["tool.latency"].count == 50
    for resolution in measure_rows.KEPT_SECONDS:
        kept = RollupMeasure.objects.filter(resolution=resolution, name="tokens.input")
        assert sum(kept.values_list("amount", flat=True)) == 51.0


def shown(telemetry: Telemetry, window: int, now: float) -> Snapshot:
    snapshot = telemetry.live.snapshot(window, now, tick=1)
    telemetry.measured.show(snapshot)
    return snapshot


@database
@pytest.mark.parametrize("window", [60, 300, 3600, 86400])
def test_a_restart_brings_the_windows_back(client, window):
    now = Stream(client).now()
    for ago in (50_000, 7_500, 2_000, 700, 250, 120, 35, 2):
        report(
            client,
            now - ago,
            a_sum("tokens.input", 1),
            some_values("tool.latency", ago),
            a_gauge("depth", ago),
        )
    read_off(client, now, Reading(1, "w1", "coder", now, 1_000, 0.0))  # as hosts do once a second
    first = started(client)
    first.tick()
    before = shown(first, window, now + 1)

    again = started(client)
    again.tick()

    assert shown(again, window, now + 1).agents[1].measures == before.agents[1].measures
    assert before.totals.tokens


@database
def test_names_are_bounded_for_good(client):
    past = time.time() - 100
    for group in range(4):
        report(client, past + 10 * group, *[a_sum(f"name{group}.{number}", 1000.0) for number in range(30)])
    report(client, past + 45, a_sum("name0.0", 1000.0), a_sum("name3.29", 1000.0))
    started(client).tick()

    totals = measured_totals(1)
    assert len(totals) == MAX_NAMES + 1
    assert totals[OTHER].amount == 120 - MAX_NAMES + 1
    assert totals["name0.0"].amount == 2000.0
    assert set(RollupMeasure.objects.values_list("name", flat=True)) == set(totals)


def by_model(agent: int = 1) -> dict[tuple[str, str], float]:
    rows = AgentModelTotal.objects.filter(agent=agent)
    return {(row.model, row.name): row.amount for row in rows}


@database
def test_what_models_used_is_kept_for_good_and_once(client):
    past = time.time() - 100
    report(client, past, a_sum("tokens.input", 5, big=4, small=1), a_sum("cost_usd", 0.5, big=0.5))
    report(client, past + 10, a_sum("tokens.input", 3, small=3), a_sum("things", 3, big=3))
    first = started(client)
    first.tick()
    report(client, time.time(), a_sum("tokens.input", 2, big=2))
    first.tick()  # and is killed here
    started(client).finish()
    started(client).finish()

    assert by_model() == {
        ("big", "tokens.input"): 6.0,
        ("small", "tokens.input"): 4.0,
        ("big", "cost_usd"): 0.5,
    }


@database
def test_models_are_bounded_for_good(client):
    past = time.time() - 100
    for turn in range(2):
        names = {f"m{turn}-{number}": 1.0 for number in range(MAX_MODELS)}
        report(client, past + 20 * turn, a_sum("tokens.output", MAX_MODELS, **names))
    started(client).tick()

    found = by_model()
    assert len(found) == MAX_MODELS + 1
    assert found[OTHER, "tokens.output"] == MAX_MODELS


def test_windows_leave_models_out():
    """Hundreds of stretches of each agent are in memory."""
    live = LiveMeasures()
    live.add(1_000.0, 1, measures_of([a_sum("tokens.input", 5, big=5)]))
    series = live._agents[1]
    assert all(measured.models is None for _, found in series._rings[10] for measured in found.values())


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("claude-sonnet-4-5[1m]", "claude-sonnet-4-5[1m]"),
        ("Anthropic/Claude Opus", "anthropic/claude_opus"),
        ("<script>", "script"),
        ("", OTHER),
        ("m" * 100, "m" * 64),
    ],
)
def test_names_of_models_are_cleaned(name, cleaned):
    assert clean_model(name) == cleaned


@database
def test_what_a_stream_holds_is_counted_in_bytes(client):
    past = time.time() - 2_000
    report(client, past, a_sum("tokens.input", 1))
    arrive(client, past + 1, 10.0)
    report(client, past + 1_900, a_sum("tokens.input", 1))
    last = len(encode_body([a_sum("tokens.input", 1)]))
    started(client).tick()

    assert int(client.get(BYTES_IN)) - int(client.get(BYTES_OUT)) == last


@database
def test_an_entry_that_cannot_be_read_holds_up_nothing(client):
    past = time.time() - 60
    client.xadd(STREAM, {"a": 1, "g": "", "r": "", "m": b"\xc1", "n": 0}, id=f"{int(past * 1000)}-1")
    report(client, past + 1, Measure("a", "ms", "values", 1.0, 1, b"no sketch"))
    report(client, past + 2, a_sum("tokens.input", 5))
    started(client).tick()

    assert AgentMeasureTotal.objects.get().amount == 5.0


@database
def test_old_rollups_go_and_totals_stay(client):
    past = time.time() - 60
    report(client, past, a_sum("tokens.input", 5))
    started(client).tick()
    assert RollupMeasure.objects.count() == 2

    actions.delete_old(now=past + 2 * 3600 + 100)
    assert RollupMeasure.objects.get().resolution == 300
    actions.delete_old(now=past + 31 * 24 * 3600)

    assert not RollupMeasure.objects.exists()
    assert AgentMeasureTotal.objects.get().amount == 5.0
