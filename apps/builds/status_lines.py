"""What cargo says on stderr with `-v`: which crates were fresh, and why the others weren't."""

import re

from apps.builds.domain.units import Rebuild
from apps.lib.text import plain_text

MOST_CRATES = 20_000
LONGEST_LINE = 2_000
LONGEST_NAME = 200
LONGEST_REASON = 400
# Before it a time, as `ts` writes it, and escapes of a terminal.
STATUS = re.compile(r"(?:\d{1,12}(?:\.\d{1,9})? )?(Dirty|Fresh|Compiling|Checking|Documenting|Running) (.+)")
WORDS = re.compile("Dirty|Fresh|Compiling|Checking|Documenting|Running")


class StatusLines:
    """Takes lines in their order. `is_verbose`: whether cargo was asked for reasons at all."""

    def __init__(self) -> None:
        self.is_verbose = False
        self.fresh: set[tuple[str, str]] = set()
        self._rebuilds: dict[Rebuild, None] = {}
        self._announced: set[tuple[str, str]] = set()  # told why, not yet that they are compiled

    @property
    def rebuilds(self) -> tuple[Rebuild, ...] | None:
        return tuple(self._rebuilds) if self.is_verbose else None

    def take(self, line: str) -> None:
        if WORDS.search(line, 0, 100) is None:
            return
        match = STATUS.match(plain_text(line[:LONGEST_LINE]))
        if match is None:
            return
        word, rest = match[1], match[2]
        if word == "Running":
            self.is_verbose = self.is_verbose or rest.startswith("`")
            return
        package = package_in(rest)
        if package is None or len(self._rebuilds) + len(self.fresh) >= MOST_CRATES:
            return
        self.is_verbose = self.is_verbose or word in ("Dirty", "Fresh")
        name, version, reason = package
        crate = name, version
        if word == "Fresh":
            self.fresh.add(crate)
        elif word == "Dirty":
            self._announced.add(crate)
            self._rebuilds[Rebuild(name, version, reason)] = None
        elif crate in self._announced:
            self._announced.discard(crate)
        else:
            self._rebuilds[Rebuild(name, version)] = None


def package_in(text: str) -> tuple[str, str, str] | None:
    """Name, version and reason of `serde v1.0.2 (/where): why`; None for what a program printed that looks alike."""
    name, _, rest = text.partition(" ")
    version, _, more = rest.partition(" ")
    if version.endswith(":"):
        version, reason = version[:-1], more
    else:
        reason = more.partition("): ")[2]
    if not re.fullmatch(r"v\d[^\s:]*", version):
        return None
    return (
        plain_text(name, LONGEST_NAME),
        plain_text(version[1:], LONGEST_NAME),
        plain_text(reason, LONGEST_REASON),
    )
