"""From what agents did by the second to what is kept: tallies of each subject at each resolution."""

from collections.abc import Iterable
from typing import NamedTuple

from apps.telemetry.domain.pending import Slot
from apps.telemetry.domain.series import floor_to
from apps.telemetry.domain.subjects import YARD, of_agent
from apps.telemetry.domain.tally import Tally

SECOND, TEN, MINUTE = 1, 10, 60
# For charts of weeks: by the minute, a month of a busy yard takes seconds to merge.
HOUR = 3600
# What versions before these kept. Nothing is added to it any more, and it expires.
FIVE_MINUTES = 300

# One row holds the stretches of so many seconds. Wide enough that there are few rows, narrow enough that writing one
# again every ten seconds, with its newest stretch changed, stays cheap (docs/decisions/history.md).
ROW_SECONDS = {SECOND: 10, TEN: 120, MINUTE: 600, HOUR: 3600}


class Place(NamedTuple):
    """One row: `start` is where its first stretch may lie."""

    resolution: int
    start: int
    subject: str


Stretches = dict[int, Tally]  # by their start


def rolled_up(slots: Iterable[Slot]) -> dict[Place, Stretches]:
    """What to add to the rows, at every resolution."""
    found: dict[Place, Stretches] = {}
    finer = _by_second(slots)
    for resolution, width in ROW_SECONDS.items():
        coarser: dict[tuple[str, int], Tally] = {}
        for (subject, at), tally in finer.items():
            start = floor_to(at, resolution)
            whole = coarser.get((subject, start))
            if whole is None:
                whole = coarser[subject, start] = Tally()
                place = Place(resolution, floor_to(start, width), subject)
                found.setdefault(place, {})[start] = whole
            whole.merge(tally)
        finer = coarser
    return found


def _by_second(slots: Iterable[Slot]) -> dict[tuple[str, int], Tally]:
    found: dict[tuple[str, int], Tally] = {}

    def at(subject: str, second: int) -> Tally:
        tally = found.get((subject, second))
        if tally is None:
            tally = found[subject, second] = Tally()
        return tally

    for slot in slots:
        for work in slot.works.values():
            own, joint = of_agent(work.agent), (YARD, *work.labels.subjects())
            for second, tally in work.seconds.items():
                at(own, second).merge(tally)
                if not tally.operations:
                    continue
                for subject in joint:
                    at(subject, second).merge_work(tally)
                at(YARD, second).add_group(work.labels.wave, tally.operations)
        for second, gauges in slot.gauges.items():
            for subject, gauge in gauges.items():
                at(subject, second).read(gauge.memory, gauge.cpu)
    return found
