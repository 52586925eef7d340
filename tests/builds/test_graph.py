"""Which unit waited for which, and how that is drawn."""

from hypothesis import given
from hypothesis import strategies as some

from apps.builds.domain.analysis import critical_path
from apps.builds.domain.graph import Graph, picture
from apps.builds.domain.units import Unit

# a's metadata at 1 let b begin, its end at 4 c. d began by itself, and e after it.
A = Unit(0, "a", start=0, duration=4, metadata_after=1, unblocks=(2,), unblocks_by_metadata=(1,))
B = Unit(1, "b", start=1, duration=2)
C = Unit(2, "c", start=4, duration=5)
D = Unit(3, "d", start=0, duration=2, unblocks=(4,))
E = Unit(4, "e", start=2, duration=1)
UNITS = (A, B, C, D, E)


def drawn(units, most=100):
    graph = Graph(units)
    return picture(graph, {step.unit.key for step in critical_path(graph)}, most)


def test_each_knows_what_it_waited_for_and_until_when():
    waits = Graph(UNITS).waits

    assert {key: (wait.unit.name, wait.at) for key, wait in waits.items()} == {
        1: ("a", 1),
        2: ("a", 4),
        4: ("d", 2),
    }


def test_of_two_it_waited_for_the_later():
    early = Unit(5, "early", start=0, duration=3, unblocks=(2,))

    assert Graph((early, A, C)).waits[2].unit == A


def test_columns_count_the_waits_and_the_critical_path_comes_first():
    nodes = [(node.unit.name, node.column, node.row, node.on_path) for node in drawn(UNITS)]

    assert nodes == [
        ("a", 0, 0, True),
        ("c", 1, 0, True),
        ("b", 1, 1, False),
        ("d", 0, 1, False),
        ("e", 1, 2, False),
    ]


def test_of_many_it_draws_the_critical_path_and_the_longest_and_what_lies_between_is_told():
    chain = [
        Unit(number, f"u{number}", start=number, duration=1, unblocks=(number + 1,)) for number in range(5)
    ]
    side = [
        Unit(10, "x", start=0, duration=0.5, unblocks=(11,)),
        Unit(11, "y", start=0.5, duration=0.1, unblocks=(12,)),
        Unit(12, "z", start=0.6, duration=0.4),
    ]

    nodes = drawn((*chain, *side), most=7)

    assert [node.unit.name for node in nodes] == ["u0", "u1", "u2", "u3", "u4", "x", "z"]
    z = nodes[-1]
    assert (nodes[z.after].unit.name, z.column, z.is_direct) == ("x", 1, False)


KEYS = some.integers(0, 9)
TIMES = some.integers(0, 9)
SOME_KEYS = some.lists(KEYS, max_size=3).map(tuple)
UNIT = some.builds(
    Unit,
    key=KEYS,
    name=some.just("x"),
    start=TIMES,
    duration=TIMES,
    metadata_after=TIMES,
    unblocks=SOME_KEYS,
    unblocks_by_metadata=SOME_KEYS,
)


@given(some.lists(UNIT, max_size=10), some.integers(0, 10))
def test_whatever_a_page_says_there_is_a_picture_in_which_no_lines_cross(units, most):
    graph = Graph(units)

    nodes = picture(graph, {step.unit.key for step in critical_path(graph)}, most)

    assert len(nodes) == min(most, len(graph.units))
    assert len({(node.column, node.row) for node in nodes}) == len(nodes)
    linked = [node for node in nodes if node.after is not None]
    assert all(nodes[node.after].column == node.column - 1 for node in linked)
    for one in linked:
        for other in linked:
            if one.column == other.column and one.row < other.row:
                assert nodes[one.after].row <= nodes[other.after].row
