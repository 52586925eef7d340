"""Reads what stable cargo leaves behind of a build: the page of `--timings`, messages of `--message-format=json`, or
what it says on stderr with `-v`; the last two also mixed in one log."""

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain
from typing import Any

import msgspec

from apps.builds.domain.units import Recording, Unit
from apps.builds.status_lines import StatusLines
from apps.lib.text import plain_text

LONGEST = 64 * 1024 * 1024  # characters of a page or a log
MOST_UNITS = 20_000
LONGEST_SECONDS = 1e7
LONGEST_NAME = 200
MOST_FEATURES = 100
SCRIPT, SCRIPT_RUN = "build-script", "build-script (run)"
TIMED = re.compile(r"\s*(\d{1,12}(?:\.\d{1,9})?)\s+(\{.*)", re.DOTALL)  # as `ts %.s` writes it
# What values of the wrong kind, size or depth raise.
MISFITS = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)


class NotARecording(ValueError):
    """The text says what is missing."""


def read(text: str) -> Recording:
    """From either, by what it looks like. Raises NotARecording."""
    start = text[:4096].lstrip().lower()
    if start.startswith(("<!doctype", "<html")) or "const UNIT_DATA" in text[:LONGEST]:
        return from_timings(text)
    return from_log(text[:LONGEST].splitlines())


def encoded(recording: Recording) -> str:
    return msgspec.json.encode(recording).decode()


def decoded(content: str) -> Recording:
    """What `encoded` wrote. Raises NotARecording for what it did not."""
    try:
        return msgspec.json.decode(content, type=Recording)
    except msgspec.MsgspecError as error:
        raise NotARecording(f"It was written by another version: {error}.") from error


def from_timings(page: str) -> Recording:
    """From the HTML of `cargo build --timings`. Raises NotARecording."""
    units, usage = constant(page, "UNIT_DATA"), constant(page, "CPU_USAGE")
    if units is None:
        raise NotARecording("This is no page of `cargo build --timings`: it has no UNIT_DATA.")
    try:
        rows = json.loads(units)
        if len(rows) > MOST_UNITS:
            raise NotARecording(f"It has {len(rows)} units, and {MOST_UNITS} are read at most.")
        readings = json.loads(usage or "[]")[:MOST_UNITS]
        return Recording(
            tuple(unit_from(row) for row in rows),
            tuple((seconds(at), seconds(share) / 100) for at, share in readings),
        )
    except NotARecording:
        raise
    except MISFITS as error:
        raise NotARecording(f"Its UNIT_DATA isn't what cargo 1.95 writes: {error!r:.200}.") from error


def constant(page: str, name: str) -> str | None:
    """What the page's script gives this name, on lines up to one that ends with a semicolon."""
    before = f"const {name} = "
    start = page.find(before, 0, LONGEST)
    if start < 0:
        return None
    start += len(before)
    end = page.find(";\n", start, LONGEST)
    return page[start:end] if end >= 0 else page[start:LONGEST].rstrip(";")


def unit_from(row: dict[str, Any]) -> Unit:
    sections = dict(row.get("sections") or ())
    metadata = sections.get("codegen", {}).get("start") if row["unblocked_rmeta_units"] or sections else None
    return Unit(
        key=key(row["i"]),
        name=plain_text(str(row["name"]), LONGEST_NAME),
        version=plain_text(str(row["version"]), LONGEST_NAME),
        target=plain_text(str(row["target"]), LONGEST_NAME),
        start=seconds(row["start"]),
        duration=seconds(row["duration"]),
        metadata_after=None if metadata is None else seconds(metadata),
        features=tuple(plain_text(str(name), LONGEST_NAME) for name in row["features"][:MOST_FEATURES]),
        unblocks=tuple(map(key, row["unblocked_units"])),
        unblocks_by_metadata=tuple(map(key, row["unblocked_rmeta_units"])),
    )


def key(value: Any) -> int:
    """Raises ValueError for what is no number of a unit."""
    found = int(value)
    if not 0 <= found < 2**53:
        raise ValueError(f"{value!r:.50} is no number of a unit")
    return found


def seconds(value: Any) -> float:
    """Raises ValueError for what is no span of time."""
    found = float(value)
    if not 0 <= found <= LONGEST_SECONDS:  # false for NaN too
        raise ValueError(f"{value!r:.50} is no span of time")
    return found


def from_log(lines: Iterable[str]) -> Recording:
    """From messages that were written to a file. A line may begin with its time in seconds, of any clock; if not all of
    cargo's do, only what was built is known. Raises NotARecording."""
    timed: list[tuple[float, str]] = []
    plain: list[str] = []
    for line in lines:
        match = TIMED.match(line)
        if match:
            timed.append((float(match[1]), match[2]))
        else:
            plain.append(line)
    begin = timed[0][0] if timed else 0.0
    has_times = bool(timed) and not any(message_in(line) for line in plain)
    others = ((0.0, line) for line in plain)
    found = from_messages(
        chain(others, ((max(0.0, at - begin) if has_times else 0.0, line) for at, line in timed))
    )
    return found if has_times else replace(found, has_times=False)


def from_messages(lines: Iterable[tuple[float, str]]) -> Recording:
    """From a build's JSON messages, each with the seconds since its begin. They tell when a unit ended, nothing of when
    it began or what it waited for, so each counts from the end of the one before. What cargo says with `-v` may stand
    between them, or alone. Raises NotARecording."""
    messages, statuses = Messages(), StatusLines()
    for at, line in lines:
        message = message_in(line)
        if message:
            messages.take(at, message)
        else:
            statuses.take(line)
    if messages.is_one:
        return replace(messages.recording(), rebuilds=statuses.rebuilds)
    if statuses.rebuilds is None:
        raise NotARecording(
            "There is no message of cargo in it: run the build with --message-format=json, or with -v for the reasons "
            "why crates were built."
        )
    return of_crates(statuses)


def of_crates(statuses: StatusLines) -> Recording:
    crates = dict.fromkeys((each.name, each.version) for each in statuses.rebuilds or ())
    units = tuple(Unit(number, *crate) for number, crate in enumerate(crates))
    return Recording(
        units,
        fresh=len(statuses.fresh),
        has_graph=False,
        has_times=False,
        rebuilds=statuses.rebuilds,
        counts_crates=True,
    )


class Messages:
    """Takes cargo's messages in their order."""

    def __init__(self) -> None:
        self._units: list[tuple[str, Unit]] = []  # with the id of its package
        self._fresh = 0
        self._fresh_crates: set[str] = set()
        self._before = 0.0
        self._is_finished = False

    @property
    def is_one(self) -> bool:
        return bool(self._units or self._fresh or self._is_finished)

    def take(self, at: float, message: dict[str, Any]) -> None:
        """Raises NotARecording for too many."""
        reason = message.get("reason")
        self._is_finished = self._is_finished or reason == "build-finished"
        if reason not in ("compiler-artifact", "build-script-executed"):
            return
        identity, target = str(message.get("package_id", "")), target_in(message)
        if message.get("fresh"):
            self._fresh += 1
            if target != SCRIPT:
                self._fresh_crates.add(identity)
            return
        if len(self._units) == MOST_UNITS:
            raise NotARecording(f"More than {MOST_UNITS} units were built, and no more are read.")
        name, version = package_in(plain_text(identity, 2 * LONGEST_NAME))
        took = max(0.0, at - self._before)
        self._units.append(
            (identity, Unit(len(self._units), name, version, target, start=self._before, duration=took))
        )
        self._before = at

    def recording(self) -> Recording:
        """Cargo tells of a build script's run also when there was none. One that ran makes its crate be built anew."""
        units = tuple(
            unit
            for identity, unit in self._units
            if unit.target != SCRIPT_RUN or identity not in self._fresh_crates
        )
        return Recording(units, fresh=self._fresh + len(self._units) - len(units), has_graph=False)


def message_in(line: str) -> dict[str, Any]:
    """Empty for what isn't one: build scripts and tests print into the same stream."""
    if not line.startswith("{"):
        return {}
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def package_in(identity: str) -> tuple[str, str]:
    """Name and version from `path+file:///w/core#0.1.0`, `registry+https://…#serde@1.0.2` or `path+file:///w/x#name@0.1.0`."""
    place, _, rest = identity.partition("#")
    name, has_name, version = rest.partition("@")
    if not has_name:
        return place.partition("?")[0].rstrip("/").rpartition("/")[2].removesuffix(".git"), name
    return name, version


def target_in(message: dict[str, Any]) -> str:
    if message["reason"] == "build-script-executed":
        return SCRIPT_RUN
    target = message.get("target")
    if not isinstance(target, dict):
        return ""
    kinds = target.get("kind")
    kind = str(kinds[0]) if isinstance(kinds, list) and kinds else "lib"
    if kind == "custom-build":
        return SCRIPT
    return "" if "lib" in kind else plain_text(f"{kind} {target.get('name', '')}", LONGEST_NAME)
