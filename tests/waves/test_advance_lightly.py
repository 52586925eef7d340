"""A wave is looked at each second: without anything to do, no lock is taken, however many members it has."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.fleet.models import Host, State
from apps.waves import advance
from apps.waves.models import Wave


def queries_of(wave, waves):
    Host.objects.update(heartbeat_at=waves.now())
    with CaptureQueriesContext(connection) as queries:
        advance.advance_wave(wave.pk, waves.now())
    return [query["sql"] for query in queries]


def test_a_round_with_nothing_to_do_opens_no_transaction(waves):
    wave = waves.running()

    queries = queries_of(wave, waves)

    assert all(query.startswith("SELECT") for query in queries)
    assert len(queries) == 4


def test_a_step_that_waits_for_memory_takes_no_lock(waves):
    wave = waves.start(agents=2)
    Host.objects.update(memory_available=0)
    waves.make_ready(wave)
    assert wave.waiting_for.startswith("local: memory")

    assert all(query.startswith("SELECT") for query in queries_of(wave, waves))


def test_members_of_a_paused_wave_are_not_read(waves):
    wave = waves.do("pause", waves.running())

    queries = queries_of(wave, waves)

    assert all(query.startswith("SELECT") for query in queries)
    assert len(queries) == 3


def test_a_paused_wave_whose_agents_are_all_over_is_finished(waves):
    wave = waves.do("pause", waves.running(), freeze=False)

    assert waves.ended(wave).state == "done"


def test_one_that_aborts_is_asked_once(waves):
    wave = waves.do("abort", waves.running())

    assert all(query.startswith("SELECT") for query in queries_of(wave, waves))


@pytest.mark.parametrize("moment", ["paused", "resumed"])
def test_what_was_decided_before_somebody_steered_the_wave_is_not_done(waves, monkeypatch, moment):
    wave = waves.start(agents=4, step_size=2)
    waves.make_ready(wave)
    waves.agents(wave).update(desired="held")
    original = advance.to_release

    def to_release(places, **options):
        waves.do("pause", Wave.objects.get(pk=wave.pk))
        if moment == "resumed":
            waves.do("resume", Wave.objects.get(pk=wave.pk))
        return original(places, **options)

    monkeypatch.setattr(advance, "to_release", to_release)
    waves.tick(wave)

    assert not waves.agents(wave).filter(desired="running").exists()


def test_a_wave_that_grew_since_it_was_looked_at_is_not_finished(waves, monkeypatch):
    wave = waves.running()
    original = advance.final_state

    def final_state(places, **options):
        if len(places) == 4:
            waves.do("scale", Wave.objects.get(pk=wave.pk), size=6)
        return original(places, **options)

    monkeypatch.setattr(advance, "final_state", final_state)
    waves.ended(wave)

    assert wave.state == "running"
    assert waves.agents(wave).filter(state=State.PLANNED).count() == 2
