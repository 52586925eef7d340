"""What a shim tells the host process of its build: one small file, written again at each step."""

from __future__ import annotations

import os
import time
from _json import encode_basestring_ascii

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agentkit.building.plan import Plan

VERSION = 1
LONGEST = 4096  # characters of arguments that are kept
MOST_OWNERS = 20


class Report:
    """Kept below `directory` until the host process has read it; with an empty one, nowhere."""

    def __init__(self, directory: str, plan: Plan, argv: list[str]) -> None:
        self.directory = directory
        self.id = f"{time.time_ns():020d}.{os.getpid()}"
        self.fields: dict[str, object] = {
            "v": VERSION,
            "run": os.environ.get("SWARMYARD_RUN", ""),
            "agent": os.environ.get("SWARMYARD_AGENT", ""),
            "pid": os.getpid(),
            "start_ticks": start_ticks(),
            "tool": plan.tool,
            "mode": plan.mode,
            "arguments": " ".join(argv)[:LONGEST],
            "cwd": os.getcwd(),  # noqa: PTH109
            "directory": plan.directory,
            "key": plan.parts,
        }
        self._asked_at, self._asked = time.time(), since_boot()
        self.fields["asked_at"] = self._asked_at
        self.owners: list[int] = []
        self._is_broken = not directory
        self._write()

    def wait_for(self, ahead: list[int]) -> None:
        new = [pid for pid in ahead if pid not in self.owners]
        if new and len(self.owners) < MOST_OWNERS:
            self.owners += new[: MOST_OWNERS - len(self.owners)]

    def slot_wait(self, seconds: float) -> None:
        self.fields |= {"slot_wait_ms": round(seconds * 1000, 1), "slot_owners": self.owners}

    def _now(self) -> float:
        """Unix seconds, of a clock that nobody sets while the build runs."""
        return self._asked_at + since_boot() - self._asked

    def begin(self) -> None:
        self.fields["began_at"] = self._now()
        self._write()

    def end(self, code: int, memory: int) -> None:
        """`code`: minus the number of the signal that ended it."""
        self.fields |= {"ended_at": self._now(), "exit_code": code, "memory": memory}
        self._write()

    def _write(self) -> None:
        """Whole or not at all; a full disk costs the report, not the build."""
        if self._is_broken:
            return
        path = os.path.join(self.directory, self.id)  # noqa: PTH118
        try:
            fd = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                os.write(fd, as_json(self.fields).encode())
            finally:
                os.close(fd)
            os.rename(path + ".new", path)  # noqa: PTH104
        except OSError:
            self._is_broken = True


def since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def as_json(value: object) -> str:
    """As json.dumps would write it, which takes 3 ms to import. Names of files need not be UTF-8."""
    if isinstance(value, str):
        return encode_basestring_ascii(os.fsencode(value).decode("utf-8", "replace"))
    if isinstance(value, dict):
        return "{" + ", ".join(f"{as_json(name)}: {as_json(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_json, value)) + "]"
    return "null" if value is None else repr(value)


def start_ticks() -> int:
    """With the pid it names this process for as long as the machine is up. 0 where /proc can't be read."""
    try:
        with open("/proc/self/stat", "rb") as file:  # noqa: PTH123
            return int(file.read(4096).rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0
