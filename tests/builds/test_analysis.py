"""Where a build's time went, told from builds whose answer is known."""

import pytest

from apps.builds.domain.analysis import analyse, compare, critical_path, parallelism
from apps.builds.domain.graph import Graph
from apps.builds.domain.units import Recording, Unit

# a: 0 to 4, its metadata at 1. b needs a's metadata: 1 to 3. c needs all of a: 4 to 9. Nothing waits for d: 0 to 2.
A = Unit(0, "a", "0.1.0", start=0, duration=4, metadata_after=1, unblocks=(2,), unblocks_by_metadata=(1,))
B = Unit(1, "b", "0.1.0", start=1, duration=2)
C = Unit(2, "c", "0.1.0", "bin c", start=4, duration=5)
D = Unit(3, "d", "0.1.0", start=0, duration=2)
BUILD = Recording((A, B, C, D))


def test_the_critical_path_is_what_the_end_waited_for():
    path = critical_path(Graph(BUILD.units))

    assert [(step.unit.name, step.seconds) for step in path] == [("a", 4), ("c", 5)]
    assert sum(step.seconds for step in path) == BUILD.duration == 9


def test_it_ends_at_the_metadata_where_that_was_enough():
    b = Unit(1, "b", start=1, duration=9)

    path = critical_path(Graph((A, b)))

    assert [(step.unit.name, step.seconds) for step in path] == [("a", 1), ("b", 9)]


def test_units_that_wait_for_each_other_do_not_hang_it():
    first = Unit(0, "a", start=0, duration=1, unblocks=(1,))
    second = Unit(1, "b", start=1, duration=1, unblocks=(0,))

    assert [step.unit.name for step in critical_path(Graph((first, second)))] == ["a", "b"]


def test_it_tells_how_many_ran_at_each_moment():
    assert parallelism(BUILD.units) == ((0, 2), (1, 3), (2, 2), (3, 1), (4, 1), (9, 0))


def test_the_work_over_the_time_is_the_mean_parallelism():
    found = analyse(BUILD, cores=2)

    assert (found.work, found.duration) == (13, 9)
    assert found.mean_parallelism == pytest.approx(13 / 9)
    assert [unit.name for unit in found.slowest] == ["c", "a", "b", "d"]


def test_a_crate_that_is_most_of_the_path_should_be_split():
    found = analyse(BUILD, cores=2)

    assert found.suggestions[0].text.startswith("c v0.1.0 bin c is 56 % of the critical path")
    assert found.suggestions[0].saves == 2.5


def test_cores_without_work_are_named():
    found = analyse(BUILD, cores=16)

    assert "On average 1.4 of 16 cores had work" in found.suggestions[0].text


def test_a_crate_in_two_versions_is_work_done_twice():
    old = Unit(4, "a", "0.0.9", start=0, duration=3)

    found = analyse(Recording((*BUILD.units, old)), cores=2)

    assert found.duplicates == {"a": ("0.0.9", "0.1.0")}
    (suggestion,) = (each for each in found.suggestions if "2 versions" in each.text)
    assert suggestion.saves == 1.5


def test_a_slow_build_script_on_the_path_is_named():
    script = Unit(0, "a", target="build-script (run)", start=0, duration=5, unblocks=(1,))

    found = analyse(Recording((script, Unit(1, "a", start=5, duration=1))), cores=1)

    assert any("build script of a" in each.text and each.saves == 5 for each in found.suggestions)


def test_a_build_that_had_nothing_to_do_is_no_fault():
    found = analyse(Recording((), fresh=12), cores=2)

    assert (found.duration, found.critical_path, found.suggestions, found.mean_parallelism) == (0, (), (), 0)


def test_two_builds_are_compared_by_unit():
    after = Recording(
        (A, Unit(2, "c", "0.1.0", "bin c", start=4, duration=1), Unit(5, "e", start=0, duration=0.5))
    )

    found = compare(BUILD, after)

    assert [(each.label, each.change) for each in found[:3]] == [
        ("c v0.1.0 bin c", -4),
        ("b v0.1.0", -2),
        ("d v0.1.0", -2),
    ]
    assert found[3].before is None


def test_what_splitting_a_crate_saves_is_bound_by_what_does_not_wait_for_it():
    beside = Unit(4, "beside", start=0, duration=8.5)

    found = analyse(Recording((*BUILD.units, beside)), cores=16)

    (split,) = (each for each in found.suggestions if each.text.startswith("c v0.1.0"))
    assert split.saves == pytest.approx(0.5)


def test_where_all_cores_are_at_work_nothing_is_gained_by_splitting():
    assert any("split it" in each.text for each in analyse(Recording((A, C)), cores=2).suggestions)

    assert analyse(Recording((A, C)), cores=1).suggestions == ()


def test_what_is_around_a_slow_unit():
    e = Unit(4, "e", start=9, duration=1)
    c = Unit(2, "c", "0.1.0", "bin c", start=4, duration=5, unblocks=(4,))

    around = analyse(Recording((A, B, c, D, e)), cores=2).around

    assert around[0].waited_for is None
    assert ([unit.name for unit in around[0].next], around[0].all_after) == (["c", "b"], 3)
    assert around[4].waited_for == c


def test_without_a_graph_nothing_is_around_anything():
    assert analyse(Recording(BUILD.units, has_graph=False), cores=2).around == {}
