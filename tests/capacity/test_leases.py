from datetime import timedelta

import pytest
from django.utils import timezone

from apps.capacity import leases

pytestmark = pytest.mark.django_db
NOW = timezone.now()


def acquire(holder, after=0.0, name="scheduler"):
    return leases.acquire(name=name, holder=holder, now=NOW + timedelta(seconds=after), seconds=5)


def test_one_holder_at_a_time():
    assert acquire("a") == 1
    assert acquire("b", after=4.9) is None
    assert acquire("a", after=4.9) == 1  # renewed, in the same epoch
    assert acquire("b", after=9.8) is None


def test_one_that_expired_goes_to_the_next_with_a_higher_epoch():
    acquire("a")

    assert acquire("b", after=5.0) == 2
    assert acquire("a", after=5.1) is None


def test_its_own_holder_gets_a_new_epoch_when_it_came_too_late():
    acquire("a")

    assert acquire("a", after=6.0) == 2


def test_one_that_was_released_is_free_at_once():
    acquire("a")
    leases.release(name="scheduler", holder="b")
    assert acquire("b", after=1) is None

    leases.release(name="scheduler", holder="a")
    assert acquire("b", after=1) == 2


def test_names_are_apart_from_each_other():
    acquire("a")

    assert acquire("b", name="other") == 1


def test_whether_it_is_held_and_when_it_is_over():
    acquire("a")

    assert leases.is_held(name="scheduler", now=NOW)
    assert not leases.is_held(name="scheduler", now=NOW + timedelta(seconds=5))
    leases.drop(name="scheduler")
    assert not leases.is_held(name="scheduler", now=NOW)
    assert acquire("b") == 1


def test_a_holder_can_see_how_long_it_still_has():
    acquire("a")

    def holds(holder, seconds):
        return leases.holds(name="scheduler", holder=holder, now=NOW, seconds=seconds)

    assert holds("a", 4.9)
    assert not holds("a", 5.0)
    assert not holds("b", 0.0)
