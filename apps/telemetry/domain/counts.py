"""How many operations a window holds up to this moment.

Snapshots are of whole seconds that are over, and come once a second at most. Counts come with each tick: they go on
from where a snapshot stood, with what came since then added and what left the window taken off.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from apps.telemetry.domain.figures import Count, Counts, Figures
from apps.telemetry.domain.tally import Tally
from apps.telemetry.domain.window import Window


@dataclass(slots=True)
class Counter:
    """Of one agent. `leaving`: what of it leaves the window before the next snapshot, by second."""

    count: Count
    leaving: dict[int, Count]

    def left(self, oldest: float) -> Count:
        """What is older than `oldest`, in unix seconds. A second goes bit by bit: under steady work a count would else
        climb for a second and fall back, again and again."""
        left = Count()
        for second, count in self.leaving.items():
            share = min(1.0, oldest - second)
            if share > 0:
                left.operations += int(count.operations * share)
                left.errors += int(count.errors * share)
                left.induced += int(count.induced * share)
        return left


class Counting:
    """Of one window, from one snapshot of it to the next."""

    def __init__(self, window: Window, end: int, totals: Count, agents: Mapping[int, Counter]) -> None:
        """`end`: the second before which the snapshot ended. What has come of that one is part of the counts."""
        self.window = window
        self.start, self.stays = window.leaving(end)
        self.totals = totals
        self.agents = agents

    def add(self, agent: int, second: int, tally: Tally) -> None:
        """Work that counts in this second. An agent that the snapshot didn't have shows with the next one."""
        if second < self.start:
            return
        add_to(self.totals, tally)
        counter = self.agents.get(agent)
        if counter is not None:
            add_to(counter.count, tally)
            if second < self.stays:
                add_to(counter.leaving.setdefault(second, Count()), tally)

    def counts(self, now: float) -> Counts:
        totals, agents = self.totals, {}
        for pk, counter in self.agents.items():
            left = counter.left(now - self.window.seconds)
            totals, agents[pk] = less(totals, left), less(counter.count, left)
        return Counts(at=now, totals=totals, agents=agents)


def counted(figures: Figures, more: Iterable[Tally]) -> Count:
    count = Count(figures.operations, figures.errors, figures.induced)
    for tally in more:
        add_to(count, tally)
    return count


def by_second(tallies: Iterable[tuple[int, Tally]]) -> dict[int, Count]:
    found: dict[int, Count] = {}
    for second, tally in tallies:
        add_to(found.setdefault(second, Count()), tally)
    return found


def add_to(count: Count, tally: Tally) -> None:
    count.operations += tally.operations
    count.errors += tally.errors
    count.induced += tally.induced


def less(count: Count, left: Count) -> Count:
    return Count(count.operations - left.operations, count.errors - left.errors, count.induced - left.induced)
