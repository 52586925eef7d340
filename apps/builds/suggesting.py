"""What a repository could set so that it builds faster: a patch for it, with figures. Nothing is applied."""

import difflib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from apps.builds import measuring
from apps.builds.domain.profile_settings import FOR_DEV, FOR_RELEASE, Setting
from apps.builds.domain.toml_patch import CantPatch, Value, patched, table_in, toml
from apps.builds.toolchains import Linker, Toolchain, linkers, toolchain_of
from apps.workspaces.models import Repository

WORTH_SECONDS = (
    0.1  # a linker must win as much for each program, as another one makes everything be compiled anew
)
WORTH_SHARE = 0.9
PAYS_SHARE = 0.95  # a setting of a profile: of time or disk
SMALLER_SHARE, SLOWER_SHARE = 0.9, 1.5  # of a release: so much smaller programs are worth so much more time
LARGEST_FILE = 1_000_000


class SuggestRefused(Exception):
    """For people."""


AS_IT_IS, TOGETHER = "as it is", "all of these"


@dataclass(slots=True)
class Suggestion:
    """`patch`: a unified diff, empty when there is nothing to change. `notes`: what was found, for people."""

    patch: str = ""
    notes: list[str] = field(default_factory=list)
    arms: list[measuring.Arm] = field(default_factory=list)  # of dev builds
    release_arms: list[measuring.Arm] = field(default_factory=list)
    links: measuring.Links | None = None


def suggest(
    repository: Repository, *, measure: bool, cranelift: bool, rounds: int, release: bool = False
) -> Suggestion:
    """`release`: release builds are measured as well. Raises SuggestRefused, NoToolchain, BuildFailed, GitFailed."""
    if release and not measure:
        raise SuggestRefused("What a release gains is a matter of figures: add --measure.")
    path, revision = Path(repository.path), repository.target or "HEAD"
    found = Suggestion()
    with measuring.copy_of(path, revision) as checkout:
        if not (checkout / "Cargo.toml").is_file():
            raise SuggestRefused(f"{repository.name} has no Cargo.toml at its top: only Rust is known here.")
        toolchain = toolchain_of(checkout)
        found.notes.append(f"Rust {toolchain.release}, {toolchain.host}.")
        settings = chosen_settings(found, checkout, measure=measure, release=release, rounds=rounds)
        config = {**linker_tables(found, checkout, toolchain, measure=measure)}
        if cranelift:
            config |= cranelift_tables(toolchain)
        profiles: dict[tuple[str, ...], dict[str, Value]] = {}
        for setting in settings:
            profiles.setdefault(setting.table, {})[setting.key] = setting.value
            gain = gain_of(setting, found.release_arms if setting in FOR_RELEASE else found.arms)
            found.notes.append(f"{setting.name} = {toml(setting.value)}: {setting.why}{gain}.")
        found.patch = "".join(
            difference(checkout, name, wanted, found.notes)
            for name, wanted in (("Cargo.toml", profiles), (config_file(checkout), config))
            if wanted
        )
    return found


def chosen_settings(
    found: Suggestion, checkout: Path, *, measure: bool, release: bool, rounds: int
) -> list[Setting]:
    """Those that the repository hasn't set; where it was measured, that pay. The figures go into `found`."""
    manifest = read(checkout / "Cargo.toml")
    settings = [setting for setting in FOR_DEV if not is_set(manifest, setting)]
    if measure and settings:
        found.arms = measuring.compare(checkout, arms_of(settings), rounds=rounds)
        settings = worth_it(settings, found.arms, found.notes)
    offered = [setting for setting in FOR_RELEASE if release and not is_set(manifest, setting)]
    if offered:
        found.release_arms = measuring.compare(checkout, arms_of(offered, "--release"), rounds=rounds)
        settings += worth_it(offered, found.release_arms, found.notes)
    return settings


def arms_of(settings: Sequence[Setting], *arguments: str) -> dict[str, list[str]]:
    """Each by itself and all together, beside a build as it is; all with these arguments."""
    arms = {AS_IT_IS: [*arguments]}
    arms |= {setting.name: [*arguments, *setting.arguments] for setting in settings}
    if len(settings) > 1:
        arms[TOGETHER] = [*arguments, *(word for setting in settings for word in setting.arguments)]
    return arms


def worth_it(settings: Sequence[Setting], arms: Sequence[measuring.Arm], notes: list[str]) -> list[Setting]:
    """Those that pay; of the others it is noted that they don't."""
    idle = [setting for setting in settings if not pays(setting, arms)]
    notes += [f"{setting.name} = {toml(setting.value)} gains too little here." for setting in idle]
    return [setting for setting in settings if setting not in idle]


def pays(setting: Setting, arms: Sequence[measuring.Arm]) -> bool:
    """Whether it saves enough of time or disk by itself; for a release, of its programs, at a bearable price."""
    before, after = arm_named(AS_IT_IS, arms), arm_named(setting.name, arms)
    if setting in FOR_RELEASE:
        return after.program_bytes <= before.program_bytes * SMALLER_SHARE and (
            after.seconds <= before.seconds * SLOWER_SHARE
        )
    return after.seconds <= before.seconds * PAYS_SHARE or after.disk_bytes <= before.disk_bytes * PAYS_SHARE


def arm_named(name: str, arms: Sequence[measuring.Arm]) -> measuring.Arm:
    return next(arm for arm in arms if arm.name == name)


def gain_of(setting: Setting, arms: Sequence[measuring.Arm]) -> str:
    """For its note; nothing where nothing was measured."""
    if not arms:
        return ""
    before, after = arm_named(AS_IT_IS, arms), arm_named(setting.name, arms)
    words = f"; {part(after.seconds, before.seconds)} of the time"
    words += f", {part(after.disk_bytes, before.disk_bytes)} of the disk"
    if before.program_bytes:
        words += f", {part(after.program_bytes, before.program_bytes)} of the programs' size"
    return words


def part(after: float, before: float) -> str:
    return f"{after / before:.2f}" if before else "-"


def is_set(manifest: str, setting: Setting) -> bool:
    try:
        return setting.key in table_in(tomllib.loads(manifest), setting.table)
    except tomllib.TOMLDecodeError as error:
        raise SuggestRefused(f"Cargo.toml can't be read: {error}") from error


def linker_tables(
    found: Suggestion, checkout: Path, toolchain: Toolchain, *, measure: bool
) -> dict[tuple[str, ...], dict[str, Value]]:
    """Another linker is offered only where it was measured, and wins enough."""
    here = linkers(toolchain)
    names = ", ".join(linker.name for linker in here[1:]) or "none"
    if not measure:
        found.notes.append(f"Linkers here: {names}. --measure tells which is the fastest.")
        return {}
    found.links = measuring.link_times(checkout, toolchain, here)
    best = better_linker(found.links, here) if found.links else None
    if best is None or best.words is None:
        found.notes.append("No other linker is worth it: changing it makes everything be compiled anew.")
        return {}
    flags: list[str] = [word for argument in best.words for word in ("-C", f"link-arg={argument}")]
    return {("target", toolchain.host): {"rustflags": flags}}


def better_linker(links: measuring.Links, here: Sequence[Linker]) -> Linker | None:
    """The fastest one, if it wins enough over what rustc takes by itself. One that lies in this machine's toolchain
    can't be named in a file for all."""
    own = links.seconds.get(here[0].name)
    others = [linker for linker in here[1:] if linker.name in links.seconds and linker.name != "rust-lld"]
    if own is None or not others:
        return None
    best = min(others, key=lambda linker: links.seconds[linker.name])
    won = own - links.seconds[best.name]
    return best if won >= WORTH_SECONDS and links.seconds[best.name] <= own * WORTH_SHARE else None


def cranelift_tables(toolchain: Toolchain) -> dict[tuple[str, ...], dict[str, Value]]:
    """For dev builds alone: release builds are always LLVM's. Raises SuggestRefused."""
    component = "rustc-codegen-cranelift-preview"
    if not toolchain.is_nightly:
        raise SuggestRefused(
            f"Cranelift needs a nightly toolchain with {component}, and this repository builds with "
            f"{toolchain.release}: name a nightly one in its rust-toolchain.toml first."
        )
    if not toolchain.has_cranelift:
        raise SuggestRefused(
            f"The toolchain {toolchain.release} has no {component}: "
            f"`rustup component add {component} --toolchain nightly`."
        )
    return {("unstable",): {"codegen-backend": True}, ("profile", "dev"): {"codegen-backend": "cranelift"}}


def config_file(checkout: Path) -> str:
    old = ".cargo/config"
    return old if (checkout / old).is_file() else f"{old}.toml"


def difference(
    checkout: Path, name: str, wanted: dict[tuple[str, ...], dict[str, Value]], notes: list[str]
) -> str:
    """A unified diff, or a note why it can't be made."""
    before = read(checkout / name)
    try:
        after = patched(before, wanted, file=name)
    except CantPatch as error:
        notes.append(str(error))
        return ""
    old = f"a/{name}" if (checkout / name).exists() else "/dev/null"
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), old, f"b/{name}", n=3
    )
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def read(path: Path) -> str:
    """Empty when it isn't there. Raises SuggestRefused for what is no text."""
    try:
        return path.read_bytes()[:LARGEST_FILE].decode()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise SuggestRefused(f"{path.name} can't be read: {error}") from error
