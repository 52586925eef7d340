"""Why crates were built again, from what cargo says of each with `-v`.

Cargo 1.95 gives one reason for a crate: the first that it meets. That of most is another crate, so these are followed
to the one that began it. A crate without a reason wasn't known at all: other settings are another unit to cargo.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from apps.builds.domain.units import Rebuild


class Kind(StrEnum):
    FILE = "file"
    READ_FILE = "read-file"
    MISSING_FILE = "missing-file"
    OUTPUT = "output"
    ENVIRONMENT = "environment"
    SCRIPT = "build-script"
    FEATURES = "features"
    PROFILE = "profile"
    FLAGS = "flags"
    MANIFEST = "manifest"
    TOOLCHAIN = "toolchain"
    PLACE = "place"
    NEW = "new"
    DEPENDENCY = "dependency"
    OTHER = "other"


FOLLOWED = re.compile(r"(?:the dependency|info of dependency) `?([^`\s]{1,200})`? (?:was rebuilt|changed)")
KINDS = (
    (Kind.READ_FILE, re.compile(r"the file `.*(?<!\.rs)` has changed")),
    (Kind.FILE, re.compile(r"(?:the file `.*` has changed|file size changed )")),
    (Kind.MISSING_FILE, re.compile(r"the file `.*` is missing")),
    (Kind.OUTPUT, re.compile(r"couldn't read metadata for file ")),
    (Kind.ENVIRONMENT, re.compile(r"the env(?:ironment)? variables? ")),
    (
        Kind.SCRIPT,
        re.compile(r"the (?:precalculated components|local lengths|local fingerprint type) changed"),
    ),
    (
        Kind.SCRIPT,
        re.compile(r"(?:the rerun-if-changed instructions|rerun-if-changed output file path) changed"),
    ),
    (Kind.FEATURES, re.compile(r"the list of (?:declared )?features changed")),
    (Kind.PROFILE, re.compile(r"the profile configuration changed")),
    (Kind.FLAGS, re.compile(r"the (?:rustflags|config settings|rustc compile kind) changed")),
    (Kind.MANIFEST, re.compile(r"the (?:target configuration|metadata) changed")),
    (Kind.TOOLCHAIN, re.compile(r"the toolchain changed")),
    (Kind.PLACE, re.compile(r"the path to the source changed")),
    (Kind.DEPENDENCY, re.compile(r"(?:the|info of|name of|number of) dependenc|dependency info changed")),
)
SAME_VALUE = "builds with different ones undo each other's work. Keep it the same, or give each its own build directory"
ADVICE = {
    Kind.READ_FILE: "A build script or a macro reads it: write it only when it changes, and let "
    "`cargo::rerun-if-changed` name no more than what is read",
    Kind.MISSING_FILE: "It was removed, or a build script's `cargo::rerun-if-changed` names what never was, and then "
    "it runs at each build",
    Kind.OUTPUT: "Somebody cleans in the build directory: let whole directories be removed instead",
    Kind.ENVIRONMENT: f"A build script or `env!` reads it: {SAME_VALUE}",
    Kind.SCRIPT: "Any file of a package counts while its build script prints no `cargo::rerun-if-changed`: print one. "
    "Another panic strategy has the same words",
    Kind.FEATURES: "The features in its Cargo.toml changed",
    Kind.PROFILE: f"A profile or `[lints]` in a Cargo.toml changed: {SAME_VALUE}",
    Kind.FLAGS: f"RUSTFLAGS, the linker or other settings of cargo's configuration changed: {SAME_VALUE}",
    Kind.MANIFEST: "Its Cargo.toml has another edition, target or description",
    Kind.TOOLCHAIN: "Name one toolchain in rust-toolchain.toml, so that all builds have the same",
    Kind.PLACE: "Keep the sources at one path",
    Kind.NEW: "Nothing was built here with these settings: a new directory or crate, or another profile, toolchain, "
    "target, other flags or features. Start from a warm directory, and keep settings the same",
}
MANY = 3  # crates: so many are worth a word on what they depend on
TIMES = re.compile(r" \([0-9]{1,20}(?:\.[0-9]{1,20})?s, .*after last build at .*\)$")
FIRST_TIME = "first built with these settings"


@dataclass(frozen=True, slots=True)
class Cause:
    """`first`: the crates that it met; `crates`: how many were built because of it, with those that depend on these."""

    kind: Kind
    text: str
    first: tuple[str, ...]
    crates: int

    @property
    def advice(self) -> str:
        """Empty where there is none: somebody changed his code, and little depends on it."""
        if self.kind == Kind.FILE and self.crates - len(self.first) >= MANY:
            return (
                f"{self.crates - len(self.first)} crates wait for it at each change: what changes often does better "
                "in a crate that few others need"
            )
        return ADVICE.get(self.kind, "")


@dataclass(slots=True)
class Found:
    kind: Kind
    text: str
    first: dict[str, None] = field(default_factory=dict)  # in their order
    all: set[str] = field(default_factory=set)


def causes_of(rebuilds: Iterable[Rebuild]) -> tuple[Cause, ...]:
    """The one that made most crates be built first. A crate counts once for each cause that it was built for."""
    found: dict[tuple[Kind, str], Found] = {}
    why: dict[str, Found] = {}  # by name as Rust has it, the last in the log's order
    for rebuild in rebuilds:
        needed = FOLLOWED.match(rebuild.reason)
        cause = why.get(in_rust(needed[1])) if needed else None
        if cause is None:
            kind, text = kind_of(rebuild.reason), without_times(rebuild.reason)
            cause = found.setdefault((kind, text), Found(kind, text))
            cause.first[rebuild.label] = None
        cause.all.add(rebuild.label)
        why[in_rust(rebuild.name)] = cause
    causes = [Cause(each.kind, each.text, tuple(each.first), len(each.all)) for each in found.values()]
    return tuple(sorted(causes, key=lambda cause: -cause.crates))


def kind_of(reason: str) -> Kind:
    if not reason:
        return Kind.NEW
    return next((kind for kind, pattern in KINDS if pattern.match(reason)), Kind.OTHER)


def without_times(reason: str) -> str:
    return TIMES.sub("", reason) or FIRST_TIME


def in_rust(name: str) -> str:
    return name.replace("-", "_")
