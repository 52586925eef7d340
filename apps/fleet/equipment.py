"""What a host has that its agents need: the programs of presets, and whether hard memory limits can be set."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypedDict

from apps.fleet import cgroup, view
from apps.fleet.domain.preset import Preset, PresetError
from apps.fleet.models import Host
from apps.fleet.places import presets_dir
from apps.fleet.presets import find_executable, load_presets
from apps.fleet.readings import answers

LOOK_EVERY = timedelta(seconds=60)


class Equipment(TypedDict):
    """As it stands in the host's row."""

    programs: dict[str, str]  # by preset: where its program lies, "" where it isn't
    presets_problem: str
    limits_problem: str
    view_problem: str


class EquipmentWatch:
    """Looks again once a minute, and when a file of the operator's presets was changed."""

    def __init__(self) -> None:
        self.looked_at: datetime | None = None
        self.files: dict[str, int] = {}
        self.presets: dict[str, Preset] = load_presets()
        self.reported: Equipment | None = None

    def news(self, now: datetime) -> Equipment | None:
        """What is there, if that isn't what was told last."""
        files = preset_files()
        if self.looked_at is not None and now - self.looked_at < LOOK_EVERY and files == self.files:
            return None
        self.looked_at, self.files = now, files
        found = self.look()
        return None if found == self.reported else found

    def look(self) -> Equipment:
        problem = ""
        try:
            self.presets = load_presets(presets_dir())
        except PresetError as error:
            problem = str(error)
        return Equipment(
            programs=programs_of(self.presets.values()),
            presets_problem=problem,
            limits_problem=cgroup.obstacle(cgroup.root_of_limits()),
            view_problem=view.obstacle(),
        )


def preset_files() -> dict[str, int]:
    """Names of the operator's presets, and when each was changed."""
    try:
        with os.scandir(presets_dir()) as entries:
            return {entry.name: entry.stat().st_mtime_ns for entry in entries}
    except OSError:
        return {}


def programs_of(presets: Iterable[Preset]) -> dict[str, str]:
    """A preset that starts any command has no program of its own."""
    path = os.environ.get("PATH", os.defpath)
    return {
        preset.name: str(find_executable(preset, path) or "")
        for preset in presets
        if preset.executable != "{command}"
    }


@dataclass(frozen=True, slots=True)
class Presence:
    """Whether a preset's program is where agents would start; `where` says which machines were asked."""

    found: bool
    where: str
    path: str = ""


def presence_of(
    preset: Preset, hosts: Iterable[Host], now: datetime, *, command: list[str] | None = None
) -> Presence:
    """By what the hosts report; by a look on this machine where none of them has, and for an operator's command,
    which nobody could look for beforehand."""
    reports = reports_on(preset, hosts, now)
    if not reports:
        path = local_program(preset, command or [])
        where = (
            "this machine" if preset.executable == "{command}" else "this machine (no host has reported yet)"
        )
        return Presence(bool(path), where, path)
    missing = [name for name, path in reports.items() if not path]
    if missing:
        return Presence(False, named(missing))
    return Presence(True, named(reports), next(iter(reports.values())))


def reports_on(preset: Preset, hosts: Iterable[Host], now: datetime) -> Mapping[str, str]:
    """Where the program lies, "" for nowhere, by the name of each host that says so."""
    return {
        host.name: host.equipment["programs"][preset.name]
        for host in hosts
        if host.equipment and answers(host, now) and preset.name in host.equipment["programs"]
    }


def local_program(preset: Preset, command: list[str]) -> str:
    """One given with a directory may lie in the workspace: that shows at launch."""
    if preset.executable == "{command}" and command and "/" in command[0] and not command[0].startswith("/"):
        return command[0]
    return str(find_executable(preset, os.environ.get("PATH", os.defpath), command=command) or "")


def named(hosts: Iterable[str]) -> str:
    names = list(hosts)
    return f"host {names[0]}" if len(names) == 1 else f"hosts {', '.join(names)}"


def limits_problems(hosts: Iterable[Host], now: datetime) -> dict[str, str]:
    """By the name of each host that answers and can't set hard memory limits: why."""
    return {
        host.name: host.equipment["limits_problem"]
        for host in hosts
        if host.equipment and answers(host, now) and host.equipment["limits_problem"]
    }
