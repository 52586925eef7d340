"""A hard memory limit for one agent, by a control group of its own (version 2). Off by default.

The root is a directory that was delegated to us and has no process of its own (with systemd: a unit with
`Delegate=memory`); the kernel allows limits below such a one only.
"""

import errno
import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from apps.lib import procfs

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")


class NoControlGroup(Exception):
    """There is no control group to put an agent in; the message says why."""


@dataclass(frozen=True, slots=True)
class Group:
    path: Path

    @property
    def procs(self) -> Path:
        """For Order.cgroup_procs: the agent enters before it starts, so nothing of it is ever outside."""
        return self.path / "cgroup.procs"


@dataclass(frozen=True, slots=True)
class Usage:
    memory: int  # bytes, file cache included
    kills: int  # how often the limit ended a process


def default_root() -> Path | None:
    """Our own control group, where version 2 manages memory."""
    groups = procfs.control_groups("memory")
    return groups[0][0] if groups and groups[0][1] == 2 else None


def available(root: Path | None = None) -> str | None:
    """None when hard limits work below `root`, else the reason why they don't."""
    root = root or default_root()
    if root is None:
        return "no control group of version 2 manages memory here"
    try:
        if "memory" not in (root / "cgroup.controllers").read_text().split():
            return f"{root} doesn't manage memory: the memory controller isn't delegated to it"
        if not os.access(root, os.W_OK) or not os.access(root / "cgroup.subtree_control", os.W_OK):
            return f"{root} is not ours to write"
        _pass_memory_down(root)
    except FileNotFoundError:
        return f"{root} is no control group of version 2"
    except OSError as error:
        if error.errno == errno.EBUSY:
            return f"{root} has processes of its own; limits need a group without any"
        return f"{root} refuses to manage memory below it: {error.strerror}"
    return None


def _pass_memory_down(root: Path) -> None:
    control = root / "cgroup.subtree_control"
    if "memory" not in control.read_text().split():
        control.write_text("+memory")


def create(name: str, limit: int, root: Path | None = None) -> Group:
    """A group that may use `limit` bytes; past them the kernel ends all of it. Raises NoControlGroup."""
    if not NAME.match(name):
        raise ValueError(f"{name!r} is no name for a control group")
    if reason := available(root):
        raise NoControlGroup(reason)
    group = Group((root or default_root() or Path()) / name)
    try:
        group.path.mkdir(exist_ok=True)
        (group.path / "memory.max").write_text(str(limit))
        for file, value in (("memory.swap.max", "0"), ("memory.oom.group", "1")):
            with suppress(OSError):  # not in every kernel
                (group.path / file).write_text(value)
    except OSError as error:
        raise NoControlGroup(f"{group.path}: {error.strerror}") from error
    return group


def procs(group: Group) -> list[int]:
    """Every process in the group: of one agent, all of them, however they hide."""
    try:
        return [int(line) for line in group.procs.read_text().split()]
    except FileNotFoundError:
        return []


def usage(group: Group) -> Usage | None:
    try:
        events = (group.path / "memory.events").read_text().split()
        kills = dict(zip(events[::2], events[1::2], strict=True)).get("oom_kill", "0")
        return Usage(int((group.path / "memory.current").read_text()), int(kills))
    except FileNotFoundError:
        return None


def kill(group: Group) -> None:
    """End every process in the group, in one step that no fork escapes."""
    with suppress(FileNotFoundError):
        (group.path / "cgroup.kill").write_text("1")


def remove(group: Group, patience: float = 0.0) -> bool:
    """False while a process of it is still there; try again later, or wait up to `patience` seconds."""
    deadline = time.monotonic() + patience
    while True:
        try:
            group.path.rmdir()
        except FileNotFoundError:
            return True
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.01)
        else:
            return True


def remove_named(name: str) -> None:
    """Remove the group of an agent that ended; most have none."""
    root = default_root()
    if root is not None and (root / name).is_dir():
        remove(Group(root / name))
