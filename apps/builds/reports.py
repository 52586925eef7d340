"""What shims leave of their builds: one file each, in the directory that `places.reports` names.

Whoever builds may write there, so nothing in a report is believed beyond what it can harm: its own build's row.
"""

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from apps.lib.regular import read_regular

log = logging.getLogger(__name__)

NAME = re.compile(r"\d{20}\.\d{1,7}")
LARGEST = 64 * 1024
AT_ONCE = 200

Name = Annotated[str, Meta(max_length=200)]
Text = Annotated[str, Meta(max_length=4096)]
Pid = Annotated[int, Meta(ge=0, le=2**22)]
UnixSeconds = Annotated[float, Meta(ge=0, le=4e9)]


class Report(msgspec.Struct, kw_only=True):
    """`began_at` is unset while it waits for a slot, `ended_at` while it runs."""

    v: int
    pid: Pid
    tool: Annotated[str, Meta(max_length=20)]
    asked_at: UnixSeconds
    start_ticks: Annotated[int, Meta(ge=0, le=2**62)] = 0
    run: Name = ""
    agent: Name = ""
    mode: Annotated[str, Meta(max_length=20)] = ""
    arguments: Text = ""
    cwd: Text = ""
    directory: Text = ""
    key: Annotated[dict[Name, Text], Meta(max_length=10)] = {}
    slot_wait_ms: Annotated[float, Meta(ge=0, le=1e10)] = 0.0
    slot_owners: Annotated[list[Pid], Meta(max_length=50)] = []
    began_at: UnixSeconds | None = None
    ended_at: UnixSeconds | None = None
    exit_code: Annotated[int, Meta(ge=-255, le=255)] | None = None
    memory: Annotated[int, Meta(ge=0, le=2**60)] | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A report, what its file is called, and when that was last changed, in nanoseconds."""

    name: str
    report: Report
    changed_at: int = 0


class ReportBox:
    """The directory, and which reports in it are known as they stand."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._known: dict[str, int] = {}  # name: time of its last change that was read

    def news(self) -> list[Found]:
        """Reports that are new or have changed, oldest first and a bounded number; the same again until `keep`. One
        that can't be read is taken away, as nothing will make it better."""
        changed = {name: at for name, at in self._all().items() if self._known.get(name) != at}
        found = []
        for name in sorted(changed)[:AT_ONCE]:
            report = self._read(name)
            if report is not None:
                found.append(Found(name, report, changed[name]))
        return found

    def keep(self, found: Found) -> None:
        """Not to be told again before it changes. One of a build that has ended is removed."""
        if found.report.ended_at is not None:
            self.remove(found.name)
        else:
            self._known[found.name] = found.changed_at

    def tells_end(self, name: str) -> bool:
        """Whether there is a report that the build has ended, read already or not."""
        report = self._read(name)
        return report is not None and report.ended_at is not None

    def remove(self, name: str) -> None:
        (self.directory / name).unlink(missing_ok=True)
        self._known.pop(name, None)

    def _all(self) -> dict[str, int]:
        names = [path.name for path in self.directory.iterdir() if NAME.fullmatch(path.name)]
        times = {name: self._changed_at(name) for name in names}
        self._known = {name: at for name, at in self._known.items() if name in times}
        return {name: at for name, at in times.items() if at is not None}

    def _changed_at(self, name: str) -> int | None:
        try:
            return (self.directory / name).lstat().st_mtime_ns
        except FileNotFoundError:
            return None

    def _read(self, name: str) -> Report | None:
        try:
            return decode(read_regular(self.directory / name, LARGEST))
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError, UnicodeError) as error:
            log.warning("the report %s of a build can't be read and is removed: %s", name, error)
            self.remove(name)
            return None


decode = msgspec.json.Decoder(Report).decode
