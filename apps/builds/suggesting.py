"""What a repository could set so that it builds faster: a patch for it, with figures. Nothing is applied."""

import difflib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from apps.builds import measuring
from apps.builds.domain.toml_patch import CantPatch, Value, patched, table_in, toml
from apps.builds.toolchains import Linker, Toolchain, linkers, toolchain_of
from apps.workspaces.models import Repository

WORTH_SECONDS = (
    0.1  # a linker must win as much for each program, as another one makes everything be compiled anew
)
WORTH_SHARE = 0.9
PAYS_SHARE = 0.95  # a setting of a profile: it changes nothing but debug info
MB = 1024 * 1024
LARGEST_FILE = 1_000_000


class SuggestRefused(Exception):
    """For people."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of a profile in Cargo.toml."""

    table: tuple[str, ...]
    key: str
    value: Value
    why: str

    @property
    def name(self) -> str:
        return f"{'.'.join(self.table)}.{self.key}"

    @property
    def arguments(self) -> list[str]:
        """Of cargo, for a build with it."""
        words = [f'"{word}"' if word == "*" else word for word in self.table]
        value = f'"{self.value}"' if isinstance(self.value, str) else str(self.value).lower()
        return ["--config", f"{'.'.join([*words, self.key])}={value}"]


SETTINGS = (
    Setting(
        ("profile", "dev"),
        "debug",
        "line-tables-only",
        "backtraces keep their lines; debuggers lose variables",
    ),
    Setting(("profile", "dev", "package", "*"), "debug", False, "dependencies without debug info"),
)
AS_IT_IS, TOGETHER = "as it is", "all of these"


@dataclass(slots=True)
class Suggestion:
    """`patch`: a unified diff, empty when there is nothing to change. `notes`: what was found, for people."""

    patch: str = ""
    notes: list[str] = field(default_factory=list)
    arms: list[measuring.Arm] = field(default_factory=list)
    links: measuring.Links | None = None


def suggest(repository: Repository, *, measure: bool, cranelift: bool, rounds: int) -> Suggestion:
    """Raises SuggestRefused, NoToolchain, BuildFailed, GitFailed."""
    path, revision = Path(repository.path), repository.target or "HEAD"
    found = Suggestion()
    with measuring.copy_of(path, revision) as checkout:
        if not (checkout / "Cargo.toml").is_file():
            raise SuggestRefused(f"{repository.name} has no Cargo.toml at its top: only Rust is known here.")
        toolchain = toolchain_of(checkout)
        found.notes.append(f"Rust {toolchain.release}, {toolchain.host}.")
        manifest = read(checkout / "Cargo.toml")
        settings = [setting for setting in SETTINGS if not is_set(manifest, setting)]
        if measure and settings:
            found.arms = measuring.compare(checkout, arms_of(settings), rounds=rounds)
            idle = [setting for setting in settings if not pays(setting, found.arms)]
            found.notes += [f"{setting.name} = {toml(setting.value)} gains nothing here." for setting in idle]
            settings = [setting for setting in settings if setting not in idle]
        config = {**linker_tables(found, checkout, toolchain, measure=measure)}
        if cranelift:
            config |= cranelift_tables(toolchain)
        profiles: dict[tuple[str, ...], dict[str, Value]] = {}
        for setting in settings:
            profiles.setdefault(setting.table, {})[setting.key] = setting.value
            found.notes.append(f"{setting.name} = {toml(setting.value)}: {setting.why}.")
        found.patch = "".join(
            difference(checkout, name, wanted, found.notes)
            for name, wanted in (("Cargo.toml", profiles), (config_file(checkout), config))
            if wanted
        )
    return found


def arms_of(settings: Sequence[Setting]) -> dict[str, list[str]]:
    arms = {AS_IT_IS: [], **{setting.name: setting.arguments for setting in settings}}
    if len(settings) > 1:
        arms[TOGETHER] = [word for setting in settings for word in setting.arguments]
    return arms


def pays(setting: Setting, arms: Sequence[measuring.Arm]) -> bool:
    """Whether it saves enough of time or disk by itself."""
    before, after = (next(arm for arm in arms if arm.name == name) for name in (AS_IT_IS, setting.name))
    return after.seconds <= before.seconds * PAYS_SHARE or after.disk_bytes <= before.disk_bytes * PAYS_SHARE


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
