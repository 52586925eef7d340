"""Where a build's time went, and what would shorten it.

The critical path is the chain of units that each waited for the one before, and the build's length is their sum: making
anything else faster changes nothing while there are cores to spare.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from apps.builds.domain.units import Recording, Unit

SLOWEST = 20
HEAVY_SHARE = 0.2  # of the critical path in one crate: worth splitting
LOW_PARALLELISM = 0.6  # of the cores, on average
LONG_SCRIPT = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class Step:
    """One unit on the critical path. `seconds`: what it adds, up to its metadata where the next needs no more."""

    unit: Unit
    seconds: float


@dataclass(frozen=True, slots=True)
class Suggestion:
    text: str
    saves: float  # seconds of this build, at most


@dataclass(frozen=True, slots=True)
class Difference:
    """One unit in two builds; None where a build has no such unit."""

    label: str
    before: float | None
    after: float | None

    @property
    def change(self) -> float:
        return (self.after or 0.0) - (self.before or 0.0)


@dataclass(frozen=True, slots=True)
class Analysis:
    duration: float
    work: float
    critical_path: tuple[Step, ...]
    parallelism: tuple[tuple[float, int], ...]  # (seconds, units that ran from then on)
    slowest: tuple[Unit, ...]
    duplicates: dict[str, tuple[str, ...]]  # versions by crate that was built in more than one
    suggestions: tuple[Suggestion, ...]

    @property
    def mean_parallelism(self) -> float:
        return self.work / self.duration if self.duration else 0.0


def analyse(recording: Recording, *, cores: int) -> Analysis:
    """Without a graph there is no critical path and no parallelism to speak of, and nothing is said about them."""
    path = critical_path(recording.units) if recording.has_graph else ()
    duplicates = duplicates_in(recording.units)
    return Analysis(
        duration=recording.duration,
        work=recording.work,
        critical_path=path,
        parallelism=parallelism(recording.units) if recording.has_graph else (),
        slowest=tuple(sorted(recording.units, key=lambda unit: -unit.duration)[:SLOWEST]),
        duplicates=duplicates,
        suggestions=suggestions(recording, path, duplicates, cores=cores),
    )


def critical_path(units: Iterable[Unit]) -> tuple[Step, ...]:
    """From the unit that ended last back through the one that each waited for longest."""
    known = {unit.key: unit for unit in units}
    waits_for: dict[int, list[tuple[float, Unit]]] = defaultdict(list)
    for unit in known.values():
        for key in unit.unblocks:
            waits_for[key].append((unit.end, unit))
        for key in unit.unblocks_by_metadata:
            waits_for[key].append((unit.start + (unit.metadata_after or 0.0), unit))
    if not known:
        return ()
    last = max(known.values(), key=lambda unit: unit.end)
    path, until = [Step(last, last.duration)], last
    seen = {last.key}
    while ready := [(at, unit) for at, unit in waits_for[until.key] if unit.key not in seen]:
        at, until = max(ready, key=lambda found: found[0])
        seen.add(until.key)
        path.append(Step(until, at - until.start))
    return tuple(reversed(path))


def parallelism(units: Iterable[Unit]) -> tuple[tuple[float, int], ...]:
    changes: dict[float, int] = defaultdict(int)
    for unit in units:
        changes[unit.start] += 1
        changes[unit.end] -= 1
    running, found = 0, []
    for at in sorted(changes):
        running += changes[at]
        found.append((at, running))
    return tuple(found)


def duplicates_in(units: Iterable[Unit]) -> dict[str, tuple[str, ...]]:
    versions: dict[str, set[str]] = defaultdict(set)
    for unit in units:
        if unit.version:
            versions[unit.name].add(unit.version)
    return {name: tuple(sorted(found)) for name, found in sorted(versions.items()) if len(found) > 1}


def suggestions(
    recording: Recording, path: tuple[Step, ...], duplicates: dict[str, tuple[str, ...]], *, cores: int
) -> tuple[Suggestion, ...]:
    found = [*heavy_crates(path), *slow_scripts(path), *copies(recording.units, duplicates, cores=cores)]
    if (
        recording.has_graph
        and recording.duration
        and recording.work / recording.duration < LOW_PARALLELISM * cores
    ):
        found.append(
            Suggestion(
                f"On average {recording.work / recording.duration:.1f} of {cores} cores had work: the critical path is "
                "a chain. Split the crates on it, or let fewer crates depend on them",
                max(0.0, recording.duration - recording.work / cores),
            )
        )
    return tuple(sorted(found, key=lambda suggestion: -suggestion.saves))


def heavy_crates(path: tuple[Step, ...]) -> list[Suggestion]:
    total = sum(step.seconds for step in path)
    return [
        Suggestion(
            f"{step.unit.label} is {100 * step.seconds / total:.0f} % of the critical path: split it, so that its "
            "parts compile side by side",
            step.seconds / 2,
        )
        for step in path
        if len(path) > 1 and step.seconds > HEAVY_SHARE * total
    ]


def slow_scripts(path: tuple[Step, ...]) -> list[Suggestion]:
    return [
        Suggestion(
            f"The build script of {step.unit.name} runs on the critical path: cache what it makes",
            step.seconds,
        )
        for step in path
        if step.unit.target.strip() == "build-script (run)" and step.seconds > LONG_SCRIPT
    ]


def copies(units: Iterable[Unit], duplicates: dict[str, tuple[str, ...]], *, cores: int) -> list[Suggestion]:
    """The gain is the work of all versions but the dearest, spread over the cores."""
    work: dict[tuple[str, str], float] = defaultdict(float)
    for unit in units:
        work[unit.name, unit.version] += unit.duration
    found = []
    for name, versions in duplicates.items():
        each = [work[name, version] for version in versions]
        saves = (sum(each) - max(each)) / cores
        found.append(
            Suggestion(
                f"{name} is built in {len(versions)} versions ({', '.join(versions)}): agree on one", saves
            )
        )
    return found


def compare(before: Recording, after: Recording) -> tuple[Difference, ...]:
    """By unit, the largest change first."""
    durations: dict[str, list[float | None]] = {}
    for index, recording in enumerate((before, after)):
        for unit in recording.units:
            pair = durations.setdefault(unit.label, [None, None])
            pair[index] = (pair[index] or 0.0) + unit.duration
    differences = [Difference(label, pair[0], pair[1]) for label, pair in durations.items()]
    return tuple(sorted(differences, key=lambda difference: -abs(difference.change)))
