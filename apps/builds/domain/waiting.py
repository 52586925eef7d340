"""Who waited for whom over a span of time, and when."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Party:
    """Who builds: an agent of the yard by its number, or somebody by what he calls himself. Neither: a process that is
    no build, by its pid; 0 where nothing is known."""

    agent: int | None
    name: str
    pid: int = 0

    @property
    def is_known(self) -> bool:
        return self.agent is not None or bool(self.name)


@dataclass(frozen=True, slots=True)
class Wait:
    """`began`: unix seconds."""

    kind: str
    began: float
    ms: float
    waiter: Party
    holder: Party

    @property
    def ended(self) -> float:
        return self.began + self.ms / 1000


@dataclass(frozen=True, slots=True)
class Pair:
    """All waits of one for another, for locks of one kind."""

    waiter: Party
    holder: Party
    kind: str
    count: int
    ms: float
    longest_ms: float


def pairs(waits: Iterable[Wait]) -> list[Pair]:
    """The longest first. Processes that are no builds are one holder, whatever their pids."""
    found: dict[tuple[Party, Party, str], list[float]] = defaultdict(list)
    for wait in waits:
        holder = wait.holder if wait.holder.is_known else Party(None, "", 1 if wait.holder.pid else 0)
        found[wait.waiter, holder, wait.kind].append(wait.ms)
    summed = [
        Pair(waiter, holder, kind, len(each), sum(each), max(each))
        for (waiter, holder, kind), each in found.items()
    ]
    return sorted(summed, key=lambda pair: -pair.ms)


@dataclass(frozen=True, slots=True)
class Matrix:
    """Milliseconds by waiter (rows) and holder (columns), those who have most of it first. None: all others together,
    last of all."""

    waiters: Sequence[Party | None]
    holders: Sequence[Party | None]
    ms: Sequence[Sequence[float]]

    @property
    def most(self) -> float:
        """Of one waiter for one holder."""
        named = [row for waiter, row in zip(self.waiters, self.ms, strict=True) if waiter is not None]
        count = len(self.holders) - (None in self.holders)
        return max((cell for row in named for cell in row[:count]), default=0.0)


def matrix(found: Iterable[Pair], size: int) -> Matrix:
    """Of `size` waiters and holders at most, and the others."""
    cells: dict[tuple[Party, Party], float] = defaultdict(float)
    waited: dict[Party, float] = defaultdict(float)
    held: dict[Party, float] = defaultdict(float)
    for pair in found:
        cells[pair.waiter, pair.holder] += pair.ms
        waited[pair.waiter] += pair.ms
        held[pair.holder] += pair.ms
    waiters, holders = leading(waited, size), leading(held, size)
    rows = {party: place for place, party in enumerate(waiters)}
    columns = {party: place for place, party in enumerate(holders)}
    ms = [[0.0] * len(holders) for _ in waiters]
    for (waiter, holder), each in cells.items():
        ms[rows.get(waiter, len(waiters) - 1)][columns.get(holder, len(holders) - 1)] += each
    return Matrix(waiters, holders, ms)


def leading(sums: dict[Party, float], size: int) -> list[Party | None]:
    """The `size` with the largest sums; None behind them where there are more."""
    ordered: list[Party | None] = [*sorted(sums, key=lambda party: -sums[party])]
    return ordered if len(ordered) <= size else [*ordered[:size], None]


def lines(waits: Iterable[Wait], edges: Sequence[float]) -> dict[str, list[float]]:
    """By kind: seconds waited in each span between two `edges`, which lie equally far apart."""
    first, width, count = edges[0], edges[1] - edges[0], len(edges) - 1
    found: dict[str, list[float]] = {}
    for wait in waits:
        begin, end = max(wait.began, first), min(wait.ended, edges[-1])
        if end <= begin:
            continue
        line = found.setdefault(wait.kind, [0.0] * count)
        place = min(int((begin - first) / width), count - 1)
        while place < count and begin < end:
            until = min(end, edges[place + 1])
            line[place] += max(0.0, until - begin)
            begin, place = max(begin, until), place + 1
    return found
