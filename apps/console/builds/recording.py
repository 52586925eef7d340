"""What a build was made of, for its page: who compiled when, what the end waited for, what would help."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from apps.builds.analysis_report import crates_of
from apps.builds.domain.analysis import Analysis, analyse
from apps.builds.domain.rebuilds import Cause
from apps.builds.domain.units import Recording, Unit
from apps.builds.models import Build
from apps.builds.queries import cores_of
from apps.console.builds.rows import took_text
from apps.console.builds.unit_graph import Drawing, drawing_of
from apps.console.charts import compact
from apps.console.display import share

MOST_ROWS = 120  # of the chart: the longest units
MOST_LINES = 30  # of a table
MOST_POINTS = 2_000


@dataclass(frozen=True, slots=True)
class Line:
    """`share`: percent of the critical path, or of the build's time."""

    label: str
    took: str
    share: int


@dataclass(frozen=True, slots=True)
class Why:
    """What made crates be built: `who` met it, and how many crates were built for it in all."""

    text: str
    who: str
    advice: str
    crates: int


@dataclass(frozen=True, slots=True)
class Report:
    data: str
    facts: list[tuple[str, str]]
    path: list[Line]
    path_more: int
    slowest: list[Line]
    duplicates: list[tuple[str, str]]
    suggestions: list[tuple[str, str]]
    shown: int
    units: int
    has_graph: bool
    has_times: bool
    causes: list[Why] | None  # None where the recording doesn't tell
    drawing: Drawing | None


def report_of(build: Build, recording: Recording) -> Report:
    cores = cores_of(build.host)
    found = analyse(recording, cores=cores)
    path = sorted(found.critical_path, key=lambda step: -step.seconds)[:MOST_LINES]
    rows = shown_units(recording)
    return Report(
        data=chart_data(recording, found, rows, cores),
        facts=facts_of(recording, found, cores),
        path=[
            line_of(step.unit, step.seconds, found.duration) for step in found.critical_path if step in path
        ],
        path_more=len(found.critical_path) - len(path),
        slowest=[line_of(unit, unit.duration, found.duration) for unit in found.slowest],
        duplicates=[(name, ", ".join(versions)) for name, versions in found.duplicates.items()][:MOST_LINES],
        suggestions=[
            (each.text, took_text(each.saves) if recording.has_times else "")
            for each in found.suggestions[:MOST_LINES]
        ],
        shown=len(rows),
        units=len(recording.units),
        has_graph=recording.has_graph,
        has_times=recording.has_times,
        causes=None if found.causes is None else [why_of(cause) for cause in found.causes[:MOST_LINES]],
        drawing=drawing_of(recording, found),
    )


def why_of(cause: Cause) -> Why:
    return Why(cause.text, crates_of(cause), cause.advice, cause.crates)


def line_of(unit: Unit, seconds: float, whole: float) -> Line:
    return Line(unit.label, took_text(seconds), round(100 * seconds / whole) if whole else 0)


def shown_units(recording: Recording) -> list[Unit]:
    """The longest, in the order in which they began."""
    longest = sorted(recording.units, key=lambda unit: -unit.duration)[:MOST_ROWS]
    return sorted(longest, key=lambda unit: (unit.start, -unit.duration))


def facts_of(recording: Recording, found: Analysis, cores: int) -> list[tuple[str, str]]:
    built = len(recording.units)
    facts = [("Crates built" if recording.counts_crates else "Units built", str(built))]
    if recording.fresh is not None:
        of_all = share(recording.fresh, recording.fresh + built)
        facts.append(("Fresh", f"{recording.fresh}, {of_all} % of all"))
    if recording.has_times:
        facts.append(("Time", took_text(found.duration)))
    if recording.has_graph:
        facts += [
            ("Work", f"{took_text(found.work)} of all units together"),
            ("At a time", f"{found.mean_parallelism:.1f} units on average, {cores} cores"),
            ("Critical path", took_text(sum(step.seconds for step in found.critical_path))),
        ]
    return facts


def chart_data(recording: Recording, found: Analysis, rows: Sequence[Unit], cores: int) -> str:
    on_path = {step.unit.key for step in found.critical_path}
    data: dict[str, Any] = {
        "units": [
            [unit.label, round(unit.start, 3), round(unit.duration, 3), int(unit.key in on_path)]
            for unit in rows
        ],
        "running": thinned([[round(at, 3), count] for at, count in found.parallelism]),
        "cpu": thinned([[round(at, 2), round(share * cores, 2)] for at, share in recording.cpu]),
        "cores": cores,
        "end": round(found.duration, 3),
    }
    return compact(data)


def thinned(points: list[list[float]]) -> list[list[float]]:
    """Every so many, and the last, where there are more than a chart can show."""
    step = math.ceil(len(points) / MOST_POINTS) or 1
    return points[::step] if step == 1 else [*points[::step], points[-1]]
