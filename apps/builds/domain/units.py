"""What a build is made of: units, each one run of a compiler or of a build script."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Unit:
    """Seconds count from the build's begin. `metadata_after`: seconds into the unit at which those that need only its
    metadata may start; None where it has none of its own (a binary, a build script)."""

    key: int
    name: str
    version: str = ""
    target: str = ""  # as cargo says it: "", "bin x", "test y", "build-script", "build-script (run)"
    start: float = 0.0
    duration: float = 0.0
    metadata_after: float | None = None
    features: tuple[str, ...] = ()
    # Units that could start when this one was finished, and when its metadata was there: these wait for it.
    unblocks: tuple[int, ...] = ()
    unblocks_by_metadata: tuple[int, ...] = ()

    @property
    def end(self) -> float:
        return self.start + self.duration

    @property
    def label(self) -> str:
        return " ".join(filter(None, (self.name, self.version and f"v{self.version}", self.target)))

    @property
    def codegen(self) -> float:
        return 0.0 if self.metadata_after is None else self.duration - self.metadata_after


@dataclass(frozen=True, slots=True)
class Rebuild:
    """A crate that wasn't fresh, with cargo's reason; none for one that it didn't know with these settings."""

    name: str
    version: str = ""
    reason: str = ""

    @property
    def label(self) -> str:
        return " ".join(filter(None, (self.name, self.version and f"v{self.version}")))


@dataclass(frozen=True, slots=True)
class Recording:
    """One build as it was. `cpu`: (seconds, share of all cores in use, 0 to 1)."""

    units: tuple[Unit, ...]
    cpu: tuple[tuple[float, float], ...] = ()
    fresh: int | None = None  # units that had nothing to do; None where the source doesn't tell
    has_graph: bool = (
        True  # False: begins and dependencies aren't known, each unit counts from the end of the last
    )
    has_times: bool = True  # False: only what was built is known
    rebuilds: tuple[Rebuild, ...] | None = None  # in cargo's order; None where the source doesn't tell
    counts_crates: bool = False  # True: each unit stands for a whole crate, `fresh` too; no more is known

    @property
    def duration(self) -> float:
        return max((unit.end for unit in self.units), default=0.0)

    @property
    def work(self) -> float:
        """Seconds of all units together."""
        return sum(unit.duration for unit in self.units)

    def with_reasons_of(self, other: "Recording | None") -> "Recording":
        """Of the same build: its own where it has some."""
        if other is None or self.rebuilds is not None:
            return self
        return replace(self, rebuilds=other.rebuilds)
