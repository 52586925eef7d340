"""An analysis for people and for `--json`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from apps.builds.domain.analysis import Analysis, Difference, Held, compare
from apps.builds.domain.rebuilds import Cause
from apps.builds.domain.units import Recording, Unit
from apps.lib.cli import table

LONGEST_PATH = 30
MOST_SLOWEST = 15
MOST_DIFFERENCES = 20
MOST_CAUSES = 30
MOST_NAMES = 4
MOST_NEXT = 100
NO_TIMES = "no times in this log: run the build with --timings, or pipe its messages into `builds analyze -`"
NO_GRAPH = "not known: messages don't tell what waited for what, only --timings does"


@dataclass(frozen=True, slots=True)
class Named:
    """A recording with its analysis, and what it is called."""

    name: str
    recording: Recording
    analysis: Analysis


def analysis_data(named: Named) -> dict[str, Any]:
    """None for what the source doesn't tell."""
    recording, found = named.recording, named.analysis
    timed, graph = recording.has_times, recording.has_times and recording.has_graph
    return {
        "name": named.name,
        "units": len(recording.units),
        "fresh": recording.fresh,
        "counted": "crates" if recording.counts_crates else "units",
        "seconds": found.duration if timed else None,
        "work_seconds": found.work if graph else None,
        "mean_parallelism": found.mean_parallelism if graph else None,
        "critical_path": [{"unit": step.unit.label, "seconds": step.seconds} for step in found.critical_path]
        if graph
        else None,
        "parallelism": [list(point) for point in found.parallelism] if graph else None,
        "slowest": [slowest_data(unit, found.around.get(unit.key)) for unit in found.slowest]
        if timed
        else None,
        "rebuilds": None if found.causes is None else [cause_data(cause) for cause in found.causes],
        "duplicates": {name: list(versions) for name, versions in found.duplicates.items()},
        "suggestions": [
            {"text": each.text, "saves_seconds": each.saves if timed else None} for each in found.suggestions
        ],
    }


def slowest_data(unit: Unit, around: Held | None) -> dict[str, Any]:
    """Without the last three where no graph is known."""
    data: dict[str, Any] = {"unit": unit.label, "seconds": unit.duration}
    if around is None:
        return data
    return data | {
        "waited_for": around.waited_for.label if around.waited_for else None,
        "next": [each.label for each in around.next[:MOST_NEXT]],
        "all_after": around.all_after,
    }


def cause_data(cause: Cause) -> dict[str, Any]:
    return {
        "kind": cause.kind.value,
        "reason": cause.text,
        "first": list(cause.first),
        "crates": cause.crates,
        "advice": cause.advice,
    }


def analysis_text(named: Named) -> str:
    recording, found = named.recording, named.analysis
    lines = [f"{named.name}: {head_of(recording, found)}"]
    if found.causes is not None:
        lines += ["", *cause_lines(found.causes)]
    if recording.has_times:
        lines += ["", *path_lines(recording, found), "", *slowest_lines(recording, found)]
    lines += ["", *duplicate_lines(found), "", *suggestion_lines(recording, found)]
    return "\n".join(lines)


def head_of(recording: Recording, found: Analysis) -> str:
    what = "crates" if recording.counts_crates else "units"
    parts = [f"{len(recording.units)} {what} built"]
    if recording.fresh is not None:
        parts.append(f"{recording.fresh} were fresh")
    parts.append(f"{found.duration:.1f} s" if recording.has_times else NO_TIMES)
    if recording.has_times and recording.has_graph:
        parts.append(f"{found.work:.1f} s of work, {found.mean_parallelism:.1f} at a time on average")
    return "; ".join(parts)


def path_lines(recording: Recording, found: Analysis) -> list[str]:
    if not recording.has_graph:
        return [f"Critical path: {NO_GRAPH}"]
    total = sum(step.seconds for step in found.critical_path)
    shown = sorted(found.critical_path, key=lambda step: -step.seconds)[:LONGEST_PATH]
    rows = [(f"{step.seconds:8.2f}", step.unit.label) for step in found.critical_path if step in shown]
    left_out = len(found.critical_path) - len(rows)
    more = [f"and {left_out} shorter ones"] if left_out else []
    return [f"Critical path, {total:.1f} s:", *(f"{seconds} s  {label}" for seconds, label in rows), *more]


def cause_lines(causes: Sequence[Cause]) -> list[str]:
    if not causes:
        return ["Why crates were built: none was."]
    lines = ["Why crates were built, and how many for it:"]
    for cause in causes[:MOST_CAUSES]:
        lines.append(f"{cause.crates:5}  {cause.text}: {crates_of(cause)}")
        if cause.advice:
            lines.append(f"       {cause.advice}.")
    left_out = len(causes) - MOST_CAUSES
    return [*lines, *([f"and {left_out} causes of fewer"] if left_out > 0 else [])]


def crates_of(cause: Cause) -> str:
    """Who met it, and how many were built since they depend on these."""
    more = cause.crates - len(cause.first)
    depending = f", then {more} that depend on {'it' if len(cause.first) == 1 else 'them'}" if more else ""
    return names(cause.first) + depending


def names(labels: Sequence[str]) -> str:
    more = len(labels) - MOST_NAMES
    return ", ".join(labels[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def slowest_lines(recording: Recording, found: Analysis) -> list[str]:
    if not recording.has_graph:
        what = "Longest after the one before (not what each took):"
        return [what, *(f"{unit.duration:8.2f} s  {unit.label}" for unit in found.slowest[:MOST_SLOWEST])]
    lines = ["Slowest units, with what each waited for last and who waited for it:"]
    for unit in found.slowest[:MOST_SLOWEST]:
        lines.append(f"{unit.duration:8.2f} s  {unit.label}")
        lines += [f"            {line}" for line in held_lines(found.around[unit.key])]
    return lines


def held_lines(around: Held) -> list[str]:
    lines = [f"waited for {around.waited_for.label}"] if around.waited_for else []
    if around.next:
        whole = f"; {around.all_after} came after it in all" if around.all_after > len(around.next) else ""
        lines.append(f"held up {names([unit.label for unit in around.next])}{whole}")
    return lines


def duplicate_lines(found: Analysis) -> list[str]:
    if not found.duplicates:
        return ["No crate was built in more than one version."]
    return [
        "In more than one version:",
        *(f"  {name} {', '.join(versions)}" for name, versions in found.duplicates.items()),
    ]


def suggestion_lines(recording: Recording, found: Analysis) -> list[str]:
    if not found.suggestions:
        return ["Nothing to suggest."]
    return [
        "What would help, with what it saves at most:",
        *(
            f"{each.saves:8.1f} s  {each.text}." if recording.has_times else f"  {each.text}."
            for each in found.suggestions
        ),
    ]


def comparison_data(before: Named, after: Named) -> dict[str, Any]:
    return {
        "before": analysis_data(before),
        "after": analysis_data(after),
        "differences": [
            {"unit": each.label, "before": each.before, "after": each.after, "change": each.change}
            for each in compare(before.recording, after.recording)
        ],
    }


def comparison_text(before: Named, after: Named) -> str:
    heads = [f"{each.name}: {head_of(each.recording, each.analysis)}" for each in (before, after)]
    changed = [
        each for each in compare(before.recording, after.recording) if each.change or None in sides(each)
    ]
    if not changed:
        return "\n".join([*heads, "", "No unit differs."])
    rows = [(each.label, *map(seconds, (*sides(each), each.change))) for each in changed[:MOST_DIFFERENCES]]
    left_out = len(changed) - len(rows)
    more = [f"and {left_out} smaller differences"] if left_out else []
    return "\n".join([*heads, "", table(("UNIT", "BEFORE s", "AFTER s", "CHANGE s"), rows), *more])


def sides(each: Difference) -> Sequence[float | None]:
    return each.before, each.after


def seconds(value: float | None) -> str:
    """ "-": there is no such unit."""
    return "-" if value is None else f"{value:.2f}"
