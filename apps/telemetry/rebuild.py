"""What the telemetry process knew before its restart. Each ring of a series comes from rollups of its own resolution,
which together hold exactly what is counted; the stream after the checkpoint gives the rest."""

from collections.abc import Iterator

from apps.telemetry.domain.live import Live
from apps.telemetry.domain.packing import unpacked
from apps.telemetry.domain.pending import EntryId
from apps.telemetry.domain.rolling import FIVE_MINUTES, MINUTE, ROW_SECONDS
from apps.telemetry.domain.series import LENGTHS, SECOND, SPAN, TEN, floor_to
from apps.telemetry.domain.subjects import YARD, Labels, agent_in
from apps.telemetry.domain.tally import Tally
from apps.telemetry.models import AgentTotal, Rollup

START: EntryId = (0, 0)

# Which rollups each ring is restored from.
SOURCES = {SPAN: (FIVE_MINUTES, MINUTE), TEN: (TEN,), SECOND: (SECOND,)}


def began_anew(*, now: float, counted: EntryId, ends: tuple[EntryId, EntryId] | None) -> bool:
    """Whether Redis lost everything and its clock was put back: what is in the stream is another one than that of
    which `counted` was the last entry counted. `ends`: first and last entry that the stream has. Were it
    only short of its end (a crash without fsync), its clock would be past the checkpoint."""
    return counted != START and now < counted[0] / 1000 and (ends is None or ends[1] < counted)


def restored(*, now: float) -> Live:
    """A Live with all that is counted and neither too old for it nor later than now, as what was counted while Redis'
    clock was ahead is."""
    live = Live()
    labels = {
        agent: Labels(*names)
        for agent, *names in AgentTotal.objects.values_list(
            "agent", "group", "role", "host", "repository"
        ).iterator()
    }
    for step, resolutions in SOURCES.items():
        oldest = floor_to(now, step) - step * LENGTHS[step]
        for subject, start, tally in _kept(resolutions, oldest, now):
            agent = agent_in(subject)
            if agent is not None:
                live.restore(
                    agent=agent, labels=labels.get(agent, Labels()), step=step, start=start, tally=tally
                )
            elif subject == YARD:
                live.restore_yard(step=step, start=start, tally=tally)
    live.restored(since=_first_second())
    return live


def _kept(resolutions: tuple[int, ...], oldest: int, now: float) -> Iterator[tuple[str, int, Tally]]:
    """Stretches of agents and the yard that begin from `oldest` to `now`, in order of time by subject."""
    for resolution in resolutions:
        earliest = oldest - ROW_SECONDS.get(resolution, resolution)
        rows = Rollup.objects.filter(resolution=resolution, start__gt=earliest, start__lte=now)
        whose = rows.filter(subject__startswith="agent:") | rows.filter(subject=YARD)
        found = whose.order_by("start").values_list("subject", "start", "cells")
        for subject, row_start, cells in found.iterator(chunk_size=500):
            for start, tally in unpacked(bytes(cells), row_start):
                if oldest <= start <= now:
                    yield subject, start, tally


def _first_second() -> float | None:
    """When the yard was first heard of, as finely as that is still known."""
    since, width = None, 0
    for resolution in (FIVE_MINUTES, MINUTE, TEN, SECOND):
        first = Rollup.objects.filter(resolution=resolution).order_by("start").first()
        if first is None:
            continue
        together = Rollup.objects.filter(resolution=resolution, start=first.start)
        start = min(start for row in together for start, _ in unpacked(bytes(row.cells), row.start))
        if since is None or since <= start < since + width:
            since, width = start, resolution
    return None if since is None else float(since)
