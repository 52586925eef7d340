"""Build directories of people who build by hand (`AGENT_ID=a1 yard cargo …`): of no workspace, so they go with none.

The shim sets a directory's time at each build (agentkit/building/by_hand.py); cargo holds its lock while it builds.
"""

import fcntl
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from apps.access.roles import require
from apps.builds import actions, places
from apps.builds.disk_use import TookTooLong, disk_use
from apps.builds.seeding import locks_of
from apps.events.domain.actor import Actor, Role
from apps.fleet.models import Host
from apps.lib.paths import remove_tree

DAYS = 7  # after which `doctor` calls one unused
GONE = ".gone"  # ends the name of one that is being removed


@dataclass(frozen=True, slots=True)
class ByHand:
    """`frees`: bytes that its removal gives back; None where that takes too long to count."""

    path: Path
    used_at: datetime
    frees: int | None
    removed: bool = False

    @property
    def who(self) -> str:
        return self.path.parts[-3]

    @property
    def checkout(self) -> str:
        return self.path.parts[-2]


def unused(*, days: int, now: datetime) -> list[Path]:
    """Of this host: those in which nobody has built for so long. One whose removal was cut off is among them."""
    edge = now - timedelta(days=days)
    return [path for path in everywhere() if path.suffix == GONE or used_at(path) < edge]


def everywhere() -> list[Path]:
    """Those that a link leads to are somebody's own affair."""
    found = (path for path in places.by_hand().glob("*/*/*") if path.is_dir())
    return sorted(path for path in found if not any(map(Path.is_symlink, (path, *path.parents[:2]))))


def used_at(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def clean(*, host: Host, days: int, actor: Actor, now: datetime, only_look: bool = False) -> list[ByHand]:
    """Removes those of this host that nobody has used for `days`, but for any in which somebody builds. `only_look`:
    tells what it would. Raises NotAllowed."""
    require(actor, Role.OPERATOR, "remove build directories")
    found = []
    for path in unused(days=days, now=now):
        with suppress(FileNotFoundError):
            used, frees = used_at(path), freed_by(path)
            found.append(ByHand(path, used, frees, removed=not only_look and remove(path)))
    if removed := [each.path for each in found if each.removed]:
        frees = sum(each.frees or 0 for each in found if each.removed)
        actions.forget_by_hand(host=host, paths=removed, bytes_freed=frees, actor=actor)
    return found


def freed_by(path: Path) -> int | None:
    try:
        found = disk_use(path)
    except TookTooLong:
        return None
    return found.bytes - found.shared


def remove(path: Path) -> bool:
    """False when somebody builds in it."""
    with ExitStack() as stack:
        for lock in locks_of(path):
            file = stack.enter_context(lock.open("rb"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        gone = path if path.suffix == GONE else path.rename(path.with_name(path.name + GONE))
    remove_tree(places.by_hand(), gone)
    with suppress(OSError):  # others are in them
        path.parent.rmdir()
        path.parent.parent.rmdir()
    return True
