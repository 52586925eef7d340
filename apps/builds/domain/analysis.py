"""Where a build's time went, and what would shorten it.

The critical path is the chain of units that each waited for the one before, and the build's length is their sum: making
anything else faster changes nothing while there are cores to spare.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from apps.builds.domain.graph import Graph
from apps.builds.domain.rebuilds import Cause, causes_of
from apps.builds.domain.units import Recording, Unit

SLOWEST = 20
HEAVY_SHARE = 0.2  # of the critical path in one crate: worth splitting
LOW_PARALLELISM = 0.6  # of the cores, on average
LONG_SCRIPT = 1.0  # seconds
LEAST_GAIN = 0.05  # seconds that are worth a suggestion


@dataclass(frozen=True, slots=True)
class Step:
    """One unit on the critical path. `seconds`: what it adds, up to its metadata where the next needs no more."""

    unit: Unit
    seconds: float


@dataclass(frozen=True, slots=True)
class Held:
    """Around a slow unit: what it waited for last, who waited for it, and how many did, these ones' waiters counted."""

    waited_for: Unit | None
    next: tuple[Unit, ...]
    all_after: int


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
    around: dict[int, Held]  # by key of the slowest; empty where no graph is known
    causes: tuple[Cause, ...] | None  # why crates were built; None where the source doesn't tell
    duplicates: dict[str, tuple[str, ...]]  # versions by crate that was built in more than one
    suggestions: tuple[Suggestion, ...]

    @property
    def mean_parallelism(self) -> float:
        return self.work / self.duration if self.duration else 0.0


def analyse(recording: Recording, *, cores: int) -> Analysis:
    """Without a graph there is no critical path and no parallelism to speak of, and nothing is said about them."""
    graph = Graph(recording.units if recording.has_graph else ())
    path = critical_path(graph)
    duplicates = duplicates_in(recording.units)
    slowest = tuple(sorted(recording.units, key=lambda unit: -unit.duration)[:SLOWEST])
    return Analysis(
        duration=recording.duration,
        work=recording.work,
        critical_path=path,
        parallelism=parallelism(graph.units.values()),
        slowest=slowest,
        around={unit.key: held(graph, unit) for unit in slowest if recording.has_graph},
        causes=None if recording.rebuilds is None else causes_of(recording.rebuilds),
        duplicates=duplicates,
        suggestions=suggestions(recording, graph, path, duplicates, cores=cores),
    )


def critical_path(graph: Graph) -> tuple[Step, ...]:
    """From the unit that ended last back through the one that each waited for longest."""
    if not graph.units:
        return ()
    last = max(graph.units.values(), key=lambda unit: unit.end)
    path = [Step(last, last.duration)]
    while wait := graph.waits.get(path[-1].unit.key):
        path.append(Step(wait.unit, max(0.0, wait.at - wait.unit.start)))
    return tuple(reversed(path))


def held(graph: Graph, unit: Unit) -> Held:
    wait = graph.waits.get(unit.key)
    return Held(wait.unit if wait else None, tuple(graph.next_of(unit.key)), len(graph.all_after(unit.key)))


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
    recording: Recording,
    graph: Graph,
    path: tuple[Step, ...],
    duplicates: dict[str, tuple[str, ...]],
    *,
    cores: int,
) -> tuple[Suggestion, ...]:
    gains = Gains(recording, graph, cores)
    found = [
        each for each in (*heavy_crates(path, gains), *slow_scripts(path, gains)) if each.saves > LEAST_GAIN
    ]
    found += copies(recording.units, duplicates, cores=cores)
    if (
        recording.has_graph
        and recording.duration
        and recording.work / recording.duration < LOW_PARALLELISM * cores
    ):
        found.append(
            Suggestion(
                f"On average {recording.work / recording.duration:.1f} of {cores} cores had work: the critical path is "
                "a chain. Split the crates on it, or let fewer crates depend on them",
                gains.bound_by_work,
            )
        )
    return tuple(sorted(found, key=lambda suggestion: -suggestion.saves))


class Gains:
    """How much shorter the build gets, at most, when a unit on its critical path takes less."""

    def __init__(self, recording: Recording, graph: Graph, cores: int) -> None:
        self.graph = graph
        self.duration = recording.duration
        self.work = recording.work
        self.cores = cores

    @property
    def bound_by_work(self) -> float:
        """With all cores at work all the time."""
        return max(0.0, self.duration - self.work / self.cores)

    def of(self, step: Step, seconds: float, *, less_work: bool) -> float:
        """When others may begin `seconds` earlier. Those that didn't wait for it end as late as they did. `less_work`:
        the seconds are gone, not done by another core."""
        later = self.graph.all_after(step.unit.key) | {step.unit.key}
        others = max((unit.end for key, unit in self.graph.units.items() if key not in later), default=0.0)
        cores = self.duration - (self.work - (seconds if less_work else 0.0)) / self.cores
        return max(0.0, min(seconds, self.duration - others, cores))


def heavy_crates(path: tuple[Step, ...], gains: Gains) -> list[Suggestion]:
    total = sum(step.seconds for step in path)
    return [
        Suggestion(
            f"{step.unit.label} is {100 * step.seconds / total:.0f} % of the critical path: split it, so that its "
            "parts compile side by side",
            gains.of(step, step.seconds / 2, less_work=False),
        )
        for step in path
        if len(path) > 1 and step.seconds > HEAVY_SHARE * total
    ]


def slow_scripts(path: tuple[Step, ...], gains: Gains) -> list[Suggestion]:
    return [
        Suggestion(
            f"The build script of {step.unit.name} runs on the critical path: cache what it makes",
            gains.of(step, step.seconds, less_work=True),
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
