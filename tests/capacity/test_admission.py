"""Admission never promises what a host lacks, keeps the order, and says what the next one waits for."""

from hypothesis import given
from hypothesis import strategies as st

from apps.capacity.domain.admission import (
    MB,
    Limits,
    Reading,
    Request,
    Running,
    admit,
    admit_checkouts,
    unclaimed_memory,
)

LIMITS = Limits(memory_reserve=512 * MB, min_free_disk=2048 * MB, max_memory_pressure=20.0)
sizes = st.integers(0, 64_000).map(lambda megabytes: megabytes * MB)
limits = st.builds(Limits, sizes, sizes, st.floats(0, 100))
readings = st.builds(Reading, sizes, st.none() | st.floats(0, 100), sizes)
running = st.lists(st.builds(Running, sizes, sizes, sizes), max_size=10)
requests = st.lists(st.builds(Request, sizes, sizes), max_size=30)


def reading(**overrides):
    fields = {"memory_available": 8_000 * MB, "memory_pressure": 0.0, "disk_free": 50_000 * MB}
    return Reading(**(fields | overrides))


def asked(count, megabytes=400, disk=0):
    return [Request(megabytes * MB, disk * MB)] * count


@given(readings, running, requests, limits)
def test_it_never_promises_more_than_there_is(reading, running, requests, limits):
    admitted = requests[: admit(reading, running, requests, limits).count]

    promised = sum(max(0, agent.budget - agent.used) for agent in running)
    if admitted:
        assert (
            sum(one.memory for one in admitted) + promised <= reading.memory_available - limits.memory_reserve
        )
        to_fill = sum(agent.disk for agent in running)
        assert sum(one.disk for one in admitted) + to_fill <= reading.disk_free - limits.min_free_disk


@given(readings, running, requests, limits)
def test_it_stops_at_the_first_that_does_not_fit(reading, running, requests, limits):
    answer = admit(reading, running, requests, limits)

    assert 0 <= answer.count <= len(requests)
    assert (answer.count == len(requests)) == (answer.waiting_for == "")
    if answer.count < len(requests):
        one_more = admit(reading, running, requests[: answer.count + 1], limits)
        assert one_more == answer


@given(readings, running, requests, limits)
def test_those_that_fit_don_t_depend_on_those_behind_them(reading, running, requests, limits):
    count = admit(reading, running, requests, limits).count

    assert admit(reading, running, requests[:count], limits).count == count


@given(readings, running, requests, limits, st.builds(Running, sizes, sizes, sizes))
def test_one_more_that_runs_never_lets_more_in(reading, running, requests, limits, other):
    alone = admit(reading, running, requests, limits).count

    assert admit(reading, [*running, other], requests, limits).count <= alone


def test_all_start_where_there_is_room():
    assert admit(reading(), [], asked(10), LIMITS).count == 10


def test_nobody_waits_where_nobody_asks():
    assert admit(None, [], [], LIMITS).waiting_for == ""


def test_memory_is_named_with_figures():
    answer = admit(reading(memory_available=1_500 * MB), [], asked(5), LIMITS)

    assert answer.count == 2
    assert answer.waiting_for == "memory: 400 MB wanted, 188 MB left to promise"


def test_what_agents_may_still_grow_by_is_kept_for_them():
    grown, fresh = Running(400 * MB, 500 * MB), Running(400 * MB, 100 * MB)

    assert unclaimed_memory(reading(memory_available=2_000 * MB), [grown], LIMITS) == 1_488 * MB
    assert unclaimed_memory(reading(memory_available=2_000 * MB), [grown, fresh], LIMITS) == 1_188 * MB


def test_disk_is_named_with_figures():
    answer = admit(reading(disk_free=1_000 * MB), [], asked(1), LIMITS)

    assert answer.count == 0
    assert answer.waiting_for.startswith("disk: 1")
    assert "kept free" in answer.waiting_for


def test_disk_that_is_asked_for_counts():
    answer = admit(reading(disk_free=3_000 * MB), [], asked(5, disk=400), LIMITS)

    assert answer.count == 2
    assert answer.waiting_for == "disk: 400 MB wanted, 152 MB left to promise, 2\u202f048 MB are kept free"


def test_disk_that_running_agents_may_still_fill_is_kept_for_them():
    logging = Running(budget=0, used=0, disk=300 * MB)

    assert admit(reading(disk_free=3_000 * MB), [logging] * 2, asked(5, disk=100), LIMITS).count == 3


def test_memory_pressure_lets_nobody_in():
    answer = admit(reading(memory_pressure=35.0), [], asked(1), LIMITS)

    assert answer.count == 0
    assert answer.waiting_for == "memory pressure is 35 %, nothing starts above 20 %"
    assert admit(reading(memory_pressure=20.0), [], asked(1), LIMITS).count == 1


def test_a_kernel_that_tells_no_pressure_is_fine():
    assert admit(reading(memory_pressure=None), [], asked(1), LIMITS).count == 1


def test_an_unknown_host_lets_nobody_in():
    assert "runhost" in admit(None, [], asked(1), LIMITS).waiting_for


def test_a_checkout_waits_for_disk_alone():
    busy = reading(disk_free=2_148 * MB, memory_available=0, memory_pressure=90.0)

    assert admit_checkouts(busy, [], [60 * MB] * 3, LIMITS).count == 1
    assert admit_checkouts(busy, [Running(0, 0, disk=50 * MB)], [60 * MB], LIMITS).count == 0
    assert admit_checkouts(reading(disk_free=2_048 * MB), [], [0], LIMITS).waiting_for.startswith("disk: 2")


def test_checkouts_are_made_on_a_host_that_told_nothing_yet():
    assert admit_checkouts(None, [], [60 * MB] * 3, LIMITS).count == 3
