"""The scheduler's round: one holder at a time, and a step that fails doesn't keep the others."""

from datetime import timedelta

import pytest
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from apps.alerts.evaluate import evaluate_alerts
from apps.builds.base_actions import keep_bases
from apps.builds.sizes import measure_build_directories
from apps.capacity import leases
from apps.scheduler.loop import LEASE_SECONDS, STEPS, tick
from apps.scheduler.tidy import tidy
from apps.waves.advance import advance_open_waves
from apps.workspaces.cloning import resume_clones

pytestmark = pytest.mark.django_db
NOW = timezone.now()


def test_it_runs_every_step_with_the_time():
    seen = []

    assert tick(NOW, holder="a", steps=(seen.append, lambda now: seen.append(now + timedelta(1))))

    assert seen == [NOW, NOW + timedelta(1)]


def test_it_does_what_is_due_of_waves_clones_and_alerts_and_tidies():
    builds = keep_bases, evaluate_alerts, measure_build_directories
    assert (advance_open_waves, resume_clones, *builds, tidy) == STEPS


def test_of_two_one_stands_by_until_the_other_is_gone():
    seen = []

    assert tick(NOW, holder="a", steps=(lambda now: seen.append("a"),))
    assert not tick(NOW, holder="b", steps=(lambda now: seen.append("b"),))
    assert tick(NOW + timedelta(seconds=LEASE_SECONDS), holder="b", steps=(lambda now: seen.append("b"),))
    assert not tick(NOW + timedelta(seconds=LEASE_SECONDS), holder="a", steps=())

    assert seen == ["a", "b"]


def test_a_step_that_fails_does_not_keep_the_others(caplog):
    seen = []

    def broken(now):
        raise ValueError("unforeseen")

    assert tick(NOW, holder="a", steps=(broken, seen.append))

    assert seen == [NOW]
    assert "broken failed; it is tried again at the next tick" in caplog.text


@pytest.mark.parametrize(
    "error", [OperationalError("database is locked"), InterfaceError("connection already closed")]
)
def test_a_database_that_refuses_is_no_reason_to_end(monkeypatch, error):
    def refuse(**options):
        raise error

    monkeypatch.setattr(leases, "acquire", refuse)

    assert tick(NOW, holder="a", steps=(pytest.fail,)) is False


def test_it_writes_no_lease_while_more_than_half_of_it_is_left(django_assert_num_queries):
    tick(NOW, holder="a", steps=())

    with django_assert_num_queries(1):
        assert tick(NOW + timedelta(seconds=LEASE_SECONDS * 0.4), holder="a", steps=())
    assert tick(NOW + timedelta(seconds=LEASE_SECONDS * 0.6), holder="a", steps=())
    assert not tick(NOW + timedelta(seconds=LEASE_SECONDS * 1.5), holder="b", steps=())
