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
    """Of one agent. `leaving`: the seconds that leave the window next, oldest first."""

    count: Count
    leaving: list[tuple[int, Tally]]

    def left(self, oldest: float) -> Count:
        """What of them is older than `oldest`, in unix seconds. A second goes bit by bit: under steady work a count
        would else climb for a second and fall back, again and again."""
        left = Count()
        for at, tally in self.leaving:
            share = min(1.0, oldest - at)
            if share <= 0:
                break
            left.operations += int(tally.operations * share)
            left.errors += int(tally.errors * share)
            left.induced += int(tally.induced * share)
        return left


class Counting:
    """Of one window, from one snapshot of it to the next."""

    def __init__(self, window: Window, end: int, totals: Count, agents: Mapping[int, Counter]) -> None:
        """`end`: the second before which the snapshot ended. What has come of that one is part of the counts."""
        self.window = window
        self.start = window.start(end)
        self.totals = totals
        self.agents = agents

    def add(self, agent: int, second: int, tally: Tally) -> None:
        """Work that counts in this second. An agent that the snapshot didn't have shows with the next one."""
        if second < self.start:
            return
        add_to(self.totals, tally)
        if agent in self.agents:
            add_to(self.agents[agent].count, tally)

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


def add_to(count: Count, tally: Tally) -> None:
    count.operations += tally.operations
    count.errors += tally.errors
    count.induced += tally.induced


def less(count: Count, left: Count) -> Count:
    return Count(count.operations - left.operations, count.errors - left.errors, count.induced - left.induced)
