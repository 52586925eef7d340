"""Busy, idle or waiting; healthy or not: from ages alone."""

from itertools import product

import pytest

from apps.fleet.domain.health import Health, health_of
from apps.fleet.domain.status import BUSY_CPU, IDLE_AFTER, WORD_LASTS, Signs, status_of

AGES = (None, 0.0, 0.9, IDLE_AFTER - 0.1, IDLE_AFTER, WORD_LASTS, 1e6)
ALL_SIGNS = [
    Signs(output_age, cpu, word, word_age, run_age)
    for output_age, cpu, word, word_age, run_age in product(
        AGES, (0.0, BUSY_CPU, 3.0), ("", "busy", "idle", "waiting"), AGES, (0.0, IDLE_AFTER, 1e6)
    )
]


def test_idle_is_never_taken_for_waiting():
    waiting = [signs for signs in ALL_SIGNS if status_of(signs) == "waiting"]

    assert waiting
    assert {signs.word for signs in waiting} == {"waiting"}


def test_it_is_always_one_of_three():
    assert {status_of(signs) for signs in ALL_SIGNS} == {"busy", "idle", "waiting"}


def test_an_agent_that_asked_waits_until_it_prints_something_new():
    assert status_of(Signs(output_age=500.0, cpu_cores=0.0, word="waiting", word_age=500.0)) == "waiting"
    assert status_of(Signs(output_age=1.0, cpu_cores=0.0, word="waiting", word_age=500.0)) == "busy"


def test_its_own_word_counts_for_a_while():
    assert status_of(Signs(output_age=0.0, cpu_cores=1.0, word="idle", word_age=WORD_LASTS - 1)) == "idle"
    assert status_of(Signs(output_age=0.0, cpu_cores=1.0, word="idle", word_age=WORD_LASTS)) == "busy"
    assert status_of(Signs(output_age=99.0, cpu_cores=0.0, word="busy", word_age=WORD_LASTS - 1)) == "busy"


def test_whoever_uses_a_cpu_is_busy_however_silent():
    assert status_of(Signs(output_age=1e6, cpu_cores=BUSY_CPU)) == "busy"


@pytest.mark.parametrize(("quiet", "status"), [(IDLE_AFTER - 0.1, "busy"), (IDLE_AFTER, "idle")])
def test_silence_without_cpu_is_idle_after_a_while(quiet, status):
    assert status_of(Signs(output_age=quiet, cpu_cores=0.0)) == status
    assert status_of(Signs(output_age=None, cpu_cores=0.0, run_age=quiet)) == status


@pytest.mark.parametrize(
    ("age", "health"),
    [
        (None, Health.UNKNOWN),
        (0.0, Health.HEALTHY),
        (-5.0, Health.HEALTHY),  # its clock is ahead of ours
        (1.99, Health.HEALTHY),
        (2.0, Health.DEGRADED),
        (4.99, Health.DEGRADED),
        (5.0, Health.CRITICAL),
        (9.99, Health.CRITICAL),
        (10.0, Health.FAILED),
        (1e9, Health.FAILED),
    ],
)
def test_health_goes_by_the_age_of_the_last_heartbeat(age, health):
    assert health_of(age) == health
