"""What a scrape says of tokens and cost."""

import time

import pytest

from apps.exposition import highest
from apps.exposition.highest import Highest
from apps.exposition.metrics import COST, TOKENS
from apps.exposition.sources import spending
from apps.fleet.models import Agent
from apps.telemetry import actions
from apps.telemetry.models import RollupMeasure
from tests.exposition.filling import measure
from tests.factories import make_agent, make_member, make_wave

WAVE = ("coder", "w1")
INPUT, OUTPUT, READ, WRITE = "tokens.input", "tokens.output", "tokens.cache_read", "tokens.cache_write"
YEAR = 365 * 24 * 3600


@pytest.fixture
def wave(db):
    return make_wave("w1")


def member(wave, **overrides) -> Agent:
    return make_member(wave, **{"role": "coder", **overrides})


def test_it_counts_tokens_and_cost_by_wave_and_role(scraped, wave):
    measure(member(wave).pk, **{INPUT: 1_000.0, READ: 20_000.0, OUTPUT: 40.0, "cost_usd": 0.5})
    measure(member(wave).pk, **{INPUT: 10.0, WRITE: 5.0, "cost_usd": 0.25})
    measure(member(wave, role="reviewer").pk, **{OUTPUT: 7.0})

    page = scraped()

    assert page.of("tokens_total") == {WAVE: 21_055, ("reviewer", "w1"): 7}
    assert page.of("cost_usd_total") == {WAVE: 0.75}
    assert page.of("measured_tokens_total") == {
        (WAVE[0], "input", "w1"): 1_010,
        (WAVE[0], "cache_read", "w1"): 20_000,
        (WAVE[0], "cache_write", "w1"): 5,
        (WAVE[0], "output", "w1"): 40,
        ("reviewer", "output", "w1"): 7,
    }


def test_what_nobody_told_of_has_no_series(scraped, wave):
    member(wave, tokens_in=0, tokens_out=0, cache_read=0, cache_creation=0)
    make_agent("w1/agent-90")

    assert not [name for name in scraped().names if "tokens" in name or "cost" in name]


def test_a_cost_of_zero_that_was_told_is_there(scraped, wave):
    measure(member(wave).pk, cost_usd=0.0)

    page = scraped()

    assert page.of("cost_usd_total") == {WAVE: 0}
    assert page.of("tokens_total") == {}


def test_an_agent_counts_by_what_it_measured_or_printed_and_never_by_both(scraped, wave):
    both = member(wave, tokens_in=900, tokens_out=300, cost_usd=0.4)
    measure(both.pk, **{INPUT: 1_000.0, OUTPUT: 40.0, "cost_usd": 0.5})
    member(wave, tokens_in=7, tokens_out=3, cost_usd=0.01)

    page = scraped()

    assert page.of("tokens_total") == {WAVE: 1_200 + 10}
    assert page.of("cost_usd_total")[WAVE] == pytest.approx(0.51)
    assert page.of("measured_tokens_total")[WAVE[0], "input", "w1"] == 1_000


def test_its_counters_grow_by_what_is_reported(scraped, wave):
    agent = member(wave)
    measure(agent.pk, **{INPUT: 1_000.0, "cost_usd": 0.5})
    before = scraped()

    measure(agent.pk, **{INPUT: 200.0, "cost_usd": 0.125})

    after = scraped()
    assert (before.of("tokens_total"), after.of("tokens_total")) == ({WAVE: 1_000}, {WAVE: 1_200})
    assert after.of("cost_usd_total")[WAVE] - before.of("cost_usd_total")[WAVE] == pytest.approx(0.125)


def test_a_result_that_corrects_what_was_printed_lets_no_counter_fall(scraped, wave):
    agent = member(wave, tokens_in=1_000, tokens_out=100, cost_usd=0.5)
    before = scraped()

    Agent.objects.filter(pk=agent.pk).update(tokens_in=900, tokens_out=150, cost_usd=0.45)

    corrected = scraped()
    for name in ("tokens_total", "cost_usd_total", "agent_tokens_total", "agent_cost_usd_total"):
        assert corrected.of(name) == before.of(name) != {}
    Agent.objects.filter(pk=agent.pk).update(tokens_in=1_500)
    assert scraped().of("tokens_total") == {WAVE: 1_650}


def test_a_change_of_what_tells_more_lets_no_counter_fall(scraped, wave):
    agent = member(wave)
    measure(agent.pk, **{INPUT: 5.0, READ: 90.0, OUTPUT: 5.0})
    before = scraped()

    Agent.objects.filter(pk=agent.pk).update(tokens_in=180, tokens_out=20)

    after = scraped()
    assert after.of("tokens_total") == {WAVE: 200}
    assert after.of("measured_tokens_total") == before.of("measured_tokens_total")


def test_they_last_when_measures_of_windows_are_deleted(scraped, wave, monkeypatch):
    measure(member(wave).pk, **{INPUT: 1_000.0, "cost_usd": 0.5})
    before = scraped()

    actions.delete_old(now=time.time() + YEAR)
    monkeypatch.setattr(spending, "highest", Highest())  # as in a process that has just begun

    assert not RollupMeasure.objects.exists()
    after = scraped()
    for name in ("tokens_total", "cost_usd_total", "measured_tokens_total"):
        assert after.of(name) == before.of(name) != {}


def test_it_tells_tokens_and_cost_of_as_many_agents_as_the_setting_allows(scraped, wave, settings):
    for _ in range(2):
        measure(member(wave).pk, **{INPUT: 10.0, "cost_usd": 0.5})
    settings.METRICS_AGENTS = 1

    page = scraped()

    assert page.of("agent_tokens_total") == {("w1/agent-01", *WAVE): 10}
    assert page.of("agent_cost_usd_total") == {("w1/agent-01", *WAVE): 0.5}
    assert page.of("tokens_total") == {WAVE: 20}


def test_only_waves_that_are_shown_have_series(scraped, wave, monkeypatch):
    monkeypatch.setattr("apps.exposition.sources.waves.SHOWN", 1)
    for one in (wave, make_wave("w2")):
        measure(member(one).pk, **{INPUT: 10.0})

    assert scraped().of("tokens_total") == {("coder", "w2"): 10}


def test_it_tells_what_each_model_used_in_each_wave(scraped, wave):
    agent = member(wave).pk
    measure(agent, "opus", **{INPUT: 10.0, READ: 20.0, "cost_usd": 0.5})
    measure(agent, "haiku", **{INPUT: 1.0})
    measure(member(wave).pk, "opus", **{OUTPUT: 3.0, "cost_usd": 0.25})
    measure(member(make_wave("w2")).pk, "opus", **{INPUT: 7.0})
    measure(member(wave).pk, "", **{INPUT: 100.0, "cost_usd": 9.0})

    page = scraped()

    assert page.of("model_tokens_total") == {("opus", "w1"): 33, ("haiku", "w1"): 1, ("opus", "w2"): 7}
    assert page.of("model_cost_usd_total") == {("opus", "w1"): 0.75}
    assert page.of("tokens_total")[WAVE] == 134
    assert page.of("omitted")[("models",)] == 0


def test_the_models_first_heard_of_stay_when_others_come(scraped, wave, monkeypatch):
    monkeypatch.setattr(spending, "MODELS", 2)
    for model in ("middling", "aged"):
        measure(member(wave).pk, model, **{INPUT: 1.0})
    before = scraped()
    for model in ("bright", "aged", "zealous"):
        measure(member(wave).pk, model, **{INPUT: 10.0})
    measure(member(make_wave("w2")).pk, "bright", **{INPUT: 5.0})

    after = scraped()

    assert before.of("omitted")[("models",)] == 0
    assert after.of("model_tokens_total") == {("middling", "w1"): 1, ("aged", "w1"): 11, ("bright", "w2"): 5}
    assert after.of("omitted")[("models",)] == 2


def test_a_mark_only_rises():
    marks = Highest()

    shown = [marks.with_new(TOKENS, value, "w1", "coder") for value in (5.0, 3.0, 4.0, 6.0)]

    assert shown == [5.0, 5.0, 5.0, 6.0]
    assert marks.with_new(TOKENS, None, "w1", "coder") is None
    assert marks.with_new(COST, 1.0, "w1", "coder") == 1.0
    assert marks.with_new(TOKENS, 1.0, "w1", "reviewer") == 1.0


def test_marks_of_who_was_not_asked_for_longest_are_forgotten_first(monkeypatch):
    monkeypatch.setattr(highest, "MOST", 2)
    marks = Highest()
    for wave in ("w1", "w2", "w1", "w3"):
        marks.with_new(TOKENS, 9.0, wave)

    assert marks.with_new(TOKENS, 1.0, "w1") == 9.0
    assert marks.with_new(TOKENS, 1.0, "w2") == 1.0
