"""A hard memory limit for one agent, by a control group of its own (version 2). Off by default.

Limits are set below a root: a group that was delegated to us (with systemd: a unit with `Delegate=memory`). The
kernel allows them only below a group that has no process of its own. So where the operator says that the root is
ours, what runs in it, we among it, moves to a leaf below it when the first limit is wanted.
"""

import errno
import functools
import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from apps.lib import procfs

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")
OWN = "own"  # as SWARMYARD_CGROUP: the group that runhost is started in
LEAF = "swarmyard-plane"
ROUNDS = 20  # looks at a root while processes of it start further ones


class NoControlGroup(Exception):
    """There is no control group to put an agent in; the message says why."""


@dataclass(frozen=True, slots=True)
class Root:
    path: Path
    is_ours: bool = False  # delegated to us, as the operator says: what runs in it may be moved
    own: Path | None = None  # the group that we run in


@dataclass(frozen=True, slots=True)
class Group:
    path: Path

    @property
    def procs(self) -> Path:
        """For Order.cgroup_procs: the agent enters before it starts, so nothing of it is ever outside."""
        return self.path / "cgroup.procs"


@functools.cache
def configured_root(setting: str) -> Root | None:
    return choose_root(setting, own_group())


def own_group() -> Path | None:
    """Our own control group, where version 2 manages memory."""
    groups = procfs.control_groups("memory")
    return groups[0][0] if groups and groups[0][1] == 2 else None


def choose_root(setting: str, own: Path | None) -> Root | None:
    if setting and setting != OWN:
        return Root(Path(setting).absolute(), is_ours=True, own=own)
    if own is None:
        return None
    path = own.parent if own.name == LEAF else own  # moved there by a runhost before us
    return Root(path, is_ours=setting == OWN, own=own)


def root_of_limits() -> Root | None:
    return configured_root(settings.CGROUP)


def obstacle(root: Root | None) -> str:
    """Why no hard limit can be had, "" when one can. Changes nothing."""
    if root is None:
        return "no control group of version 2 manages memory here"
    try:
        if "memory" not in (root.path / "cgroup.controllers").read_text().split():
            return f"{root.path} doesn't manage memory: the memory controller isn't delegated to it"
        passed_down = "memory" in (root.path / "cgroup.subtree_control").read_text().split()
        if not passed_down and not root.is_ours and has_processes(root.path):
            return f"{root.path} has processes of its own: if it is delegated to Swarmyard, set SWARMYARD_CGROUP=own"
    except OSError as error:
        return f"{root.path} is no control group of version 2 ({error.strerror})"
    needed = (root.path, root.path / "cgroup.subtree_control", entrance(root))
    locked = next((path for path in needed if not os.access(path, os.W_OK)), None)
    return f"{locked} is not ours to write" if locked else ""


def entrance(root: Root) -> Path:
    """What the kernel wants us to be able to write to bring a process into the root: the processes of the group
    that its way there passes."""
    if root.own is None or not root.own.exists():
        return root.path / "cgroup.procs"
    return Path(os.path.commonpath([root.path, root.own])) / "cgroup.procs"


def has_processes(path: Path) -> bool:
    # Where the whole hierarchy begins, processes are in nobody's way; that group alone has no type.
    return (path / "cgroup.type").exists() and bool((path / "cgroup.procs").read_text().strip())


def open_for_limits(root: Root | None) -> Path:
    """Let the groups below `root` have limits; its path. Raises NoControlGroup."""
    if root is None or (reason := obstacle(root)):
        raise NoControlGroup(obstacle(root) if root is None else reason)
    control = root.path / "cgroup.subtree_control"
    try:
        if "memory" not in control.read_text().split():
            if root.is_ours and has_processes(root.path):
                move_to_leaf(root.path)
            control.write_text("+memory")
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise NoControlGroup(f"{root.path} has processes of its own that can't be moved") from error
        raise NoControlGroup(f"{root.path} refuses to manage memory below it: {error.strerror}") from error
    return root.path


def move_to_leaf(path: Path) -> None:
    """All processes in the group itself, until none is left: one may start another meanwhile."""
    leaf = path / LEAF
    leaf.mkdir(exist_ok=True)
    for _ in range(ROUNDS):
        pids = (path / "cgroup.procs").read_text().split()
        if not pids:
            return
        for pid in pids:
            with suppress(ProcessLookupError):  # it ended
                (leaf / "cgroup.procs").write_text(pid)


def create(name: str, limit: int, root: Root | None) -> Group:
    """A group that may use `limit` bytes; past them the kernel ends all of it. Raises NoControlGroup."""
    if not NAME.match(name):
        raise ValueError(f"{name!r} is no name for a control group")
    group = Group(open_for_limits(root) / name)
    try:
        group.path.mkdir(exist_ok=True)
        (group.path / "memory.max").write_text(str(limit))
        for file, value in (("memory.swap.max", "0"), ("memory.oom.group", "1")):
            with suppress(OSError):  # not in every kernel
                (group.path / file).write_text(value)
    except OSError as error:
        raise NoControlGroup(f"{group.path}: {error.strerror}") from error
    return group


def group_of(name: str, root: Root | None) -> Group | None:
    """The group of that name, if there is one: most agents have none."""
    group = Group(root.path / name) if root is not None else None
    return group if group is not None and group.path.is_dir() else None


def kills(group: Group) -> int:
    """How often the limit ended a process of the group."""
    try:
        words = (group.path / "memory.events").read_text().split()
    except OSError:
        return 0
    return int(dict(zip(words[::2], words[1::2], strict=False)).get("oom_kill", "0"))


def kill(group: Group) -> None:
    """End every process in the group, in one step that no fork escapes. Not in every kernel: where it isn't, or the
    group is just going, the reaper has to do."""
    with suppress(OSError):
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
