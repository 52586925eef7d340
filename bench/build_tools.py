"""Linkers, and settings of cargo's profiles: what each changes of a build's time and of what it leaves.

On a generated workspace whose lower half stands for dependencies, as a setting may be for these alone. The program is
linked with every linker of this machine in turn; clean builds with each setting take turns with builds as they are.
Ratios are to these. Takes all cores for minutes: `--part` does one half.
"""

import argparse
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from report import Figure, machine, say, show
from rust_workspace import make_workspace, write
from warm_yard import set_up

if TYPE_CHECKING:
    from apps.builds.domain.profile_settings import Setting
    from apps.builds.measuring import Arm

MB = 1_000_000
DEFAULT = "default"
LINKERS = {"rustc's own choice": "default", "GNU ld": "gnu_ld"}  # the others' names are keys as they are
PARTS = ("links", "profiles")


def main() -> None:
    chosen = options()
    where = machine()
    directory = Path(tempfile.mkdtemp(prefix="yard-bench-", dir="/tmp"))
    try:
        set_up(directory / "home")
        sizes = {"crates": 8, "modules": 2} if chosen.quick else {"crates": 16, "modules": 12}
        checkout = with_dependencies(make_workspace(directory / "checkout", **sizes), sizes["crates"])
        figures: list[Figure] = []
        if chosen.part in (None, "links"):
            figures += links(checkout, rounds=3 if chosen.quick else 15)
        if chosen.part in (None, "profiles"):
            figures += profiles(checkout, rounds=1 if chosen.quick else 3, quick=chosen.quick)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    show("build_tools", where, figures, as_json=chosen.json)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=PARTS, help="one half alone")
    parser.add_argument(
        "--quick", action="store_true", help="fewer rounds, a smaller program, fewer settings"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser.parse_args()


def with_dependencies(place: Path, crates: int) -> Path:
    """The first half of its libraries no longer belongs to the workspace."""
    names = [f"part{number:02}" for number in range(crates)]
    outside, members = names[: crates // 2], [*names[crates // 2 :], "program"]
    lines = ["[workspace]", 'resolver = "2"', f"members = {members}", f"exclude = {outside}"]
    write(place / "Cargo.toml", "\n".join(lines).replace("'", '"') + "\n")
    return place


def links(checkout: Path, rounds: int) -> list[Figure]:
    from apps.builds.measuring import link_times
    from apps.builds.toolchains import linkers, toolchain_of

    toolchain = toolchain_of(checkout)
    here = linkers(toolchain)
    say(f"{rounds} rounds of linking with {', '.join(linker.name for linker in here)}")
    found = link_times(checkout, toolchain, here, rounds=rounds)
    if found is None:
        raise RuntimeError("nothing was linked")
    figures = [Figure("link_program_mb", found.program_bytes / MB, "MB", None, "lower")]
    own = found.seconds[here[0].name]
    for name, seconds in found.seconds.items():
        key = LINKERS.get(name, name.replace("-", "_"))
        figures.append(Figure(f"link_{key}_ms", seconds * 1000, "ms", None, "lower"))
        if name != here[0].name:
            figures.append(Figure(f"link_{key}_ratio", seconds / own, "times", None, "lower"))
    return figures


def profiles(checkout: Path, *, rounds: int, quick: bool) -> list[Figure]:
    dev, release = settings(quick=quick)
    return [
        *compared(checkout, "profile", dev, rounds),
        *compared(
            checkout, "release", {name: ["--release", *words] for name, words in release.items()}, rounds
        ),
    ]


def settings(*, quick: bool) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Cargo's arguments by name, for dev builds and for release builds: what `builds suggest` offers, and others that
    are often advised."""
    from apps.builds.domain import profile_settings as known
    from apps.builds.domain.profile_settings import DEV, OTHERS, RELEASE, Setting

    dev: dict[str, list[Setting]] = {
        "line_tables": [known.LINE_TABLES],
        "deps_no_debug": [known.NO_DEBUG_OF_OTHERS],
        "both": list(known.FOR_DEV),
        "no_debug": [Setting(DEV, "debug", 0, "")],
        "deps_optimized": [Setting((*DEV, *OTHERS), "opt-level", 1, "")],
        "codegen_units_16": [Setting(DEV, "codegen-units", 16, "")],
        "not_incremental": [Setting(DEV, "incremental", False, "")],
    }
    release: dict[str, list[Setting]] = {
        "thin_lto": [known.THIN_LTO],
        "one_codegen_unit": [known.ONE_CODEGEN_UNIT],
        "stripped": [known.STRIPPED],
        "all": list(known.FOR_RELEASE),
        "fat_lto": [Setting(RELEASE, "lto", "fat", "")],
        "line_tables": [Setting(RELEASE, "debug", "line-tables-only", "")],
    }
    if quick:
        dev, release = ({name: arms[name] for name in list(arms)[:2]} for arms in (dev, release))
    return arguments_of(dev), arguments_of(release)


def arguments_of(arms: "Mapping[str, Sequence[Setting]]") -> dict[str, list[str]]:
    words = {name: [word for each in chosen for word in each.arguments] for name, chosen in arms.items()}
    return {DEFAULT: [], **words}


def compared(checkout: Path, kind: str, arms: Mapping[str, list[str]], rounds: int) -> list[Figure]:
    from apps.builds.measuring import compare

    say(f"{rounds} rounds of clean {kind} builds: {', '.join(arms)}")
    found = {arm.name: arm for arm in compare(checkout, arms, rounds=rounds)}
    before = found.pop(DEFAULT)
    figures = [
        Figure(f"{kind}_default_s", before.seconds, "s", None, "lower"),
        Figure(f"{kind}_default_disk_mb", before.disk_bytes / MB, "MB", None, "lower"),
        Figure(f"{kind}_default_program_mb", before.program_bytes / MB, "MB", None, "lower"),
    ]
    for name, arm in found.items():
        figures += ratios(f"{kind}_{name}", arm, before)
    return figures


def ratios(key: str, arm: "Arm", before: "Arm") -> list[Figure]:
    return [
        Figure(f"{key}_ratio", arm.seconds / before.seconds, "times", None, "lower"),
        Figure(f"{key}_disk_ratio", arm.disk_bytes / before.disk_bytes, "times", None, "lower"),
        Figure(f"{key}_size_ratio", arm.program_bytes / before.program_bytes, "times", None, "lower"),
    ]


if __name__ == "__main__":
    main()
