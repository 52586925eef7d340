"""The Rust toolchain of a checkout, and the linkers of this machine."""

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from apps.lib.environment import passed_on
from apps.lib.process import Completed, ProgramMissing, run

ASK_SECONDS = 60.0


class NoToolchain(Exception):
    """For people: why nothing can be built there."""


@dataclass(frozen=True, slots=True)
class Toolchain:
    release: str  # "1.95.0", "1.97.0-nightly"
    host: str  # triple
    sysroot: Path

    @property
    def is_nightly(self) -> bool:
        return "nightly" in self.release

    @property
    def has_cranelift(self) -> bool:
        backends = self.sysroot / "lib" / "rustlib" / self.host / "codegen-backends"
        return any(backends.glob("*cranelift*"))

    @property
    def own_linker(self) -> Path | None:
        """Holds what stands for `ld` in front of the toolchain's own lld, where it brings that."""
        place = self.sysroot / "lib" / "rustlib" / self.host / "bin" / "gcc-ld"
        return place if (place / "ld.lld").exists() else None


@dataclass(frozen=True, slots=True)
class Linker:
    """`words` make the C compiler that links take it; None for what rustc takes by itself."""

    name: str
    words: tuple[str, ...] | None


def toolchain_of(checkout: Path) -> Toolchain:
    """Raises NoToolchain."""
    said = ask(checkout, ["rustc", "-vV"])
    fields = dict(re.findall(r"^(\w+): (.+)$", said, re.MULTILINE))
    try:
        release, host = fields["release"], fields["host"]
    except KeyError:
        raise NoToolchain(f"rustc says neither its release nor its host: {said[:200]}") from None
    return Toolchain(release, host, Path(ask(checkout, ["rustc", "--print", "sysroot"]).strip()))


def ask(checkout: Path, argv: Sequence[str]) -> str:
    try:
        done = run(argv, cwd=checkout, env=passed_on(os.environ), timeout=ASK_SECONDS)
    except ProgramMissing as error:
        raise NoToolchain(f"{argv[0]} is not installed: rustup.rs tells how to get it.") from error
    if not done.ok:
        raise NoToolchain(first_error(done))
    return done.text()


def first_error(done: Completed) -> str:
    """The line that tells what is wrong, of all that a tool printed."""
    lines = [line.strip() for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith("error")]
    return (telling or lines[-1:] or [f"{done.argv[0]} ended with {done.code}"])[0][:500]


def linkers(toolchain: Toolchain) -> list[Linker]:
    """rustc's own choice first, then all that are here."""
    found = [Linker("rustc's own choice", None)]
    if shutil.which("ld.bfd"):
        found.append(Linker("GNU ld", ("-fuse-ld=bfd",)))
    if toolchain.own_linker:
        found.append(Linker("rust-lld", (f"-B{toolchain.own_linker}", "-fuse-ld=lld")))
    if shutil.which("ld.lld"):
        found.append(Linker("lld", ("-fuse-ld=lld",)))
    if shutil.which("mold"):
        found.append(Linker("mold", ("-fuse-ld=mold",)))
    return found
