"""Reads what stable cargo leaves behind of a build: the page of `--timings`, or messages of `--message-format=json`."""

import json
import re
from collections.abc import Iterable
from typing import Any

from apps.builds.domain.units import Recording, Unit

LONGEST = 64 * 1024 * 1024  # characters of a page or a log
DATA = re.compile(r"^const (UNIT_DATA|CPU_USAGE) = (.*?);$", re.MULTILINE | re.DOTALL)


class NotARecording(ValueError):
    """The text says what is missing."""


def from_timings(page: str) -> Recording:
    """From the HTML of `cargo build --timings`. Raises NotARecording."""
    found = dict(DATA.findall(page[:LONGEST]))
    if "UNIT_DATA" not in found:
        raise NotARecording("This is no page of `cargo build --timings`: it has no UNIT_DATA.")
    try:
        units = tuple(unit_from(row) for row in json.loads(found["UNIT_DATA"]))
        cpu = tuple((float(at), float(share) / 100) for at, share in json.loads(found.get("CPU_USAGE", "[]")))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise NotARecording(f"Its UNIT_DATA isn't what cargo 1.95 writes: {error!r}.") from error
    return Recording(units, cpu)


def unit_from(row: dict[str, Any]) -> Unit:
    sections = dict(row.get("sections") or ())
    metadata = sections.get("codegen", {}).get("start") if row["unblocked_rmeta_units"] or sections else None
    return Unit(
        key=int(row["i"]),
        name=str(row["name"]),
        version=str(row["version"]),
        target=str(row["target"]).strip(),
        start=float(row["start"]),
        duration=float(row["duration"]),
        metadata_after=None if metadata is None else float(metadata),
        features=tuple(map(str, row["features"])),
        unblocks=tuple(row["unblocked_units"]),
        unblocks_by_metadata=tuple(row["unblocked_rmeta_units"]),
    )


def from_messages(lines: Iterable[tuple[float, str]]) -> Recording:
    """From a build's JSON messages, each with the seconds since its begin. They tell when a unit ended, nothing of when
    it began or what it waited for, so each counts from the end of the one before. Raises NotARecording."""
    units: list[Unit] = []
    fresh, before, finished = 0, 0.0, False
    for at, line in lines:
        message = message_in(line)
        finished = finished or message.get("reason") == "build-finished"
        if message.get("reason") not in ("compiler-artifact", "build-script-executed"):
            continue
        if message.get("fresh"):
            fresh += 1
            continue
        name, version = package_in(str(message.get("package_id", "")))
        target = target_in(message)
        units.append(Unit(len(units), name, version, target, start=before, duration=max(0.0, at - before)))
        before = at
    if not (units or fresh or finished):
        raise NotARecording("There is no message of cargo in it: run the build with --message-format=json.")
    return Recording(tuple(units), fresh=fresh)


def message_in(line: str) -> dict[str, Any]:
    """Empty for what isn't one: build scripts and tests print into the same stream."""
    if not line.startswith("{"):
        return {}
    try:
        found = json.loads(line)
    except ValueError:
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
        return "build-script (run)"
    target = message.get("target") or {}
    kind = "".join((target.get("kind") or ["lib"])[:1])
    if kind == "custom-build":
        return "build-script"
    return "" if "lib" in kind else f"{kind} {target.get('name', '')}".strip()
