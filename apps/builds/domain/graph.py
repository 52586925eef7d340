"""Which unit waited for which. Cargo tells of each unit the one that it waited for last, so this is a forest: what else
it needed was there before, and changed nothing."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from apps.builds.domain.units import Unit


@dataclass(frozen=True, slots=True)
class Wait:
    """Until when, in seconds from the build's begin: `unit` was done, or its metadata were there."""

    unit: Unit
    at: float


@dataclass(frozen=True, slots=True)
class Node:
    """One unit in a picture. `after`: where in the list the one stands that it waited for; `is_direct` is False if
    others that aren't shown lie between."""

    unit: Unit
    column: int
    row: int
    on_path: bool
    after: int | None
    is_direct: bool = True


class Graph:
    """`waits`: by a unit's key what it waited for last; nothing for those that could start at once."""

    def __init__(self, units: Iterable[Unit]) -> None:
        self.units: Mapping[int, Unit] = {unit.key: unit for unit in units}
        self.waits = last_waits(self.units)
        self._next: dict[int, list[Unit]] = defaultdict(list)
        for key, wait in self.waits.items():
            self._next[wait.unit.key].append(self.units[key])

    def next_of(self, key: int) -> Sequence[Unit]:
        """Those that waited for it, the longest first."""
        return sorted(self._next.get(key, ()), key=lambda unit: (-unit.duration, unit.key))

    def all_after(self, key: int) -> set[int]:
        """Those that waited for it, and those that waited for these, …"""
        found: set[int] = set()
        left = [key]
        while left:
            new = {unit.key for unit in self._next.get(left.pop(), ())} - found
            found |= new
            left += new
        return found - {key}

    def begins(self) -> list[Unit]:
        return [unit for key, unit in self.units.items() if key not in self.waits]


def last_waits(units: Mapping[int, Unit]) -> dict[int, Wait]:
    """Without circles, which only a page that somebody made up has."""
    found: dict[int, Wait] = {}
    for unit in units.values():
        ready = [(key, unit.end) for key in unit.unblocks]
        ready += [(key, unit.start + (unit.metadata_after or 0.0)) for key in unit.unblocks_by_metadata]
        for key, at in ready:
            if key in units and key != unit.key and (key not in found or at > found[key].at):
                found[key] = Wait(unit, at)
    return without_circles(found)


def without_circles(waits: dict[int, Wait]) -> dict[int, Wait]:
    """Cut where a way back from a unit meets itself."""
    known: set[int] = set()
    for start in list(waits):
        way: dict[int, None] = {}
        key = start
        while key not in known and key in waits:
            way[key] = None
            before = waits[key].unit.key
            if before in way:
                del waits[key]
                break
            key = before
        known |= way.keys()
    return waits


def picture(graph: Graph, on_path: set[int], most: int) -> list[Node]:
    """In columns by how many each waited for, in an order in which lines don't cross. Of more than `most` those on the
    critical path, and the longest."""
    shown = chosen(graph, on_path, most)
    nodes: list[Node] = []
    rows: dict[int, int] = defaultdict(int)  # next free one by column
    left: list[tuple[Unit, int | None, bool]] = [
        (unit, None, True) for unit in in_order(graph.begins(), on_path)
    ]
    while left:
        unit, after, is_direct = left.pop()
        place = after
        if unit.key in shown:
            column = 0 if after is None else nodes[after].column + 1
            place = len(nodes)
            nodes.append(Node(unit, column, rows[column], unit.key in on_path, after, is_direct))
            rows[column] += 1
            is_direct = True
        else:
            is_direct = False
        left += [(each, place, is_direct) for each in in_order(graph.next_of(unit.key), on_path)]
    return nodes


def in_order(units: Sequence[Unit], on_path: set[int]) -> list[Unit]:
    """The last is taken first: that of the critical path, then the longest."""
    return sorted(units, key=lambda unit: (unit.key in on_path, unit.duration, -unit.key))


def chosen(graph: Graph, on_path: set[int], most: int) -> set[int]:
    order = sorted(graph.units.values(), key=lambda unit: (unit.key not in on_path, -unit.duration, unit.key))
    return {unit.key for unit in order[:most]}
