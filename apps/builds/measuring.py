"""Builds of a repository in a place of their own, to see what a setting changes. Takes minutes, and all cores."""

import json
import os
import shlex
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from apps.builds import link_timer, places
from apps.builds.toolchains import Linker, NoToolchain, Toolchain, first_error
from apps.lib.environment import passed_on
from apps.lib.paths import write_whole
from apps.lib.process import run
from apps.workspaces import git

BUILD_SECONDS = 3600.0
LINK_ROUNDS = 3
BLOCK = 512


class BuildFailed(Exception):
    """For people: what cargo said."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One way of building, and its figures: medians of all rounds. `program_bytes`: of all programs together."""

    name: str
    seconds: float
    disk_bytes: int
    program_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Links:
    """How long the largest program took to link, by linker; a linker that can't isn't there."""

    program: str
    seconds: Mapping[str, float]
    program_bytes: int = 0


@contextmanager
def copy_of(repository: Path, revision: str) -> Iterator[Path]:
    """Its files as they stand at `revision`, gone afterwards."""
    places.root().mkdir(parents=True, exist_ok=True, mode=0o700)
    place = Path(tempfile.mkdtemp(prefix="measure-", dir=places.root()))
    try:
        git.output(
            None, "clone", "--quiet", "--shared", "--no-checkout", str(repository), str(place / "checkout")
        )
        git.output(place / "checkout", "checkout", "--quiet", "--detach", revision)
        yield place / "checkout"
    finally:
        shutil.rmtree(place, ignore_errors=True)


def compare(checkout: Path, arms: Mapping[str, Sequence[str]], *, rounds: int) -> list[Arm]:
    """Clean builds with these arguments of cargo, in turn. Raises BuildFailed."""
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    sizes: dict[str, list[int]] = {name: [] for name in arms}
    programs: dict[str, list[int]] = {name: [] for name in arms}
    for _round in range(rounds):
        for name, arguments in arms.items():
            with tempfile.TemporaryDirectory(dir=checkout.parent) as target:
                began = time.monotonic()
                cargo(checkout, ["build", *arguments], {"CARGO_TARGET_DIR": target})
                seconds[name].append(time.monotonic() - began)
                sizes[name].append(blocks_of(Path(target)))
                programs[name].append(programs_in(Path(target)))
    return [
        Arm(
            name,
            statistics.median(seconds[name]),
            round(statistics.median(sizes[name])),
            round(statistics.median(programs[name])),
        )
        for name in arms
    ]


def link_times(
    checkout: Path, toolchain: Toolchain, linkers: Sequence[Linker], *, rounds: int = LINK_ROUNDS
) -> Links | None:
    """None when nothing is linked. Raises BuildFailed."""
    cc = shutil.which("cc")
    if cc is None:
        raise BuildFailed("there is no C compiler (cc), with which rustc links")
    place = checkout.parent
    results, order = place / "links", place / "order.json"
    candidates = {linker.name: linker.words for linker in linkers}
    order.write_text(
        json.dumps({"cc": cc, "rounds": rounds, "results": str(results), "candidates": candidates})
    )
    words = [sys.executable, "-IS", link_timer.__file__, str(order), "--"]
    write_whole(place / "linker", f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n'.encode(), mode=0o755)
    variable = f"CARGO_TARGET_{toolchain.host.upper().replace('-', '_')}_LINKER"
    more = {variable: str(place / "linker"), "CARGO_TARGET_DIR": str(place / "linked")}
    cargo(checkout, ["build", "--tests", "--jobs", "1"], more)
    found = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    links = [Links(each["program"], medians(each["seconds"]), each["bytes"]) for each in found]
    return max(links, key=lambda each: each.program_bytes, default=None)


def medians(seconds: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {name: statistics.median(times) for name, times in seconds.items() if times}


def cargo(checkout: Path, argv: Sequence[str], more: dict[str, str]) -> None:
    """Raises BuildFailed."""
    inherited = {name: value for name, value in passed_on(os.environ).items() if name != "RUSTC_WRAPPER"}
    real = shutil.which("cargo", path=inherited.get("PATH", os.defpath))
    if real is None:
        raise NoToolchain("cargo is not installed: rustup.rs tells how to get it.")
    done = run([real, *argv], cwd=checkout, env=inherited | more, timeout=BUILD_SECONDS)
    if done.timed_out:
        raise BuildFailed(f"cargo {argv[0]} took longer than {BUILD_SECONDS:.0f} s")
    if not done.ok:
        raise BuildFailed(f"cargo {argv[0]}: {first_error(done)}")


def blocks_of(place: Path) -> int:
    """Bytes on disk; a file with several links counts once."""
    found = {}
    for path in place.rglob("*"):
        status = path.lstat()
        found[status.st_dev, status.st_ino] = status.st_blocks
    return sum(found.values()) * BLOCK


def programs_in(target: Path) -> int:
    """Bytes of the programs that a build of any profile left."""
    found = (path for path in target.glob("*/*") if path.is_file() and os.access(path, os.X_OK))
    return sum(path.stat().st_size for path in found if not path.suffix)
