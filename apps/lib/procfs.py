"""Readings of this machine and its processes, straight from /proc and /sys.

Everything here may be asked about a process that ends at that moment: the answer is then None or absence.
"""

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

PROC = Path("/proc")
BLOCK = 65536
PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")  # of start_ticks and cpu_ticks, per second


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    ppid: int
    pgrp: int
    session: int
    state: str  # R S D T t Z X I
    start_ticks: int  # since boot; with the pid it names one process for as long as the machine is up
    cpu_ticks: int  # user and system
    waited_ticks: int  # the same of its children that ended and were waited for, with all below them
    rss: int  # bytes
    comm: str
    image: int  # changes when the process execs; 0 in the middle of that, and when it isn't ours to see

    @property
    def key(self) -> tuple[int, int]:
        return (self.pid, self.start_ticks)

    @property
    def alive(self) -> bool:
        return self.state not in "ZX"


def parse_stat(line: bytes) -> Process:
    """One /proc/PID/stat. The name stands in parentheses and may hold spaces, parentheses and newlines."""
    opening, closing = line.index(b"("), line.rindex(b")")
    fields = line[closing + 2 :].split()
    return Process(
        pid=int(line[:opening]),
        ppid=int(fields[1]),
        pgrp=int(fields[2]),
        session=int(fields[3]),
        state=fields[0].decode("ascii"),
        start_ticks=int(fields[19]),
        cpu_ticks=int(fields[11]) + int(fields[12]),
        waited_ticks=int(fields[13]) + int(fields[14]),
        rss=int(fields[21]) * PAGE,
        comm=line[opening + 1 : closing].decode("utf-8", "replace"),
        image=int(fields[48]) if len(fields) > 48 else 0,  # where its environment ends: set last in an exec
    )


def read_process(pid: int) -> Process | None:
    data = _read(f"/proc/{pid}/stat")
    return parse_stat(data) if data else None


def read_processes() -> dict[int, Process]:
    """Every process, in one pass; zombies too."""
    found = {}
    for name in os.listdir(PROC):  # noqa: PTH208 - a Path per process would double the cost of a pass
        if name[0] in "123456789" and (data := _read(f"/proc/{name}/stat")):
            process = parse_stat(data)
            found[process.pid] = process
    return found


def environment(pid: int) -> dict[str, str]:
    """As it was at the last exec; empty when the process is gone, is just exec'ing, or isn't ours to see."""
    data = _read(f"/proc/{pid}/environ", limit=8_000_000) or b""
    pairs = (entry.partition(b"=") for entry in data.split(b"\0"))
    return {os.fsdecode(name): os.fsdecode(value) for name, found, value in pairs if found}


@dataclass(frozen=True, slots=True)
class Io:
    read_bytes: int  # from and to the disk, as the kernel accounts it
    write_bytes: int


def read_io(pid: int) -> Io | None:
    data = _read(f"/proc/{pid}/io")
    if not data:
        return None
    numbers = _numbers(data.decode("ascii", "replace"))
    return Io(numbers.get("read_bytes", 0), numbers.get("write_bytes", 0))


def boot_id() -> str:
    """Changes with every boot: pids and start ticks of another boot mean nothing."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def signal_process(pid: int, start_ticks: int, sig: int) -> bool:
    """Signal that one process, never another that got its pid. False when it is gone or isn't ours."""
    try:
        handle = os.pidfd_open(pid)
    except (ProcessLookupError, PermissionError):
        return False
    try:
        # The handle pins the process, so what is checked here is what is signalled below.
        process = read_process(pid)
        if process is None or process.start_ticks != start_ticks or not process.alive:
            return False
        signal.pidfd_send_signal(handle, sig)
    except (ProcessLookupError, PermissionError):
        return False
    finally:
        os.close(handle)
    return True


@dataclass(frozen=True, slots=True)
class Memory:
    total: int  # bytes; the container's limit where that is smaller
    available: int


def read_memory() -> Memory:
    numbers = _numbers(Path("/proc/meminfo").read_text())
    total = numbers["MemTotal"] * 1024
    available = numbers.get("MemAvailable", numbers["MemFree"]) * 1024
    tightest: int | None = None
    for directory, version in control_groups("memory"):
        limit, room = _group_memory(directory, version)
        if limit is not None and limit < total:
            tightest = min(limit, tightest or limit)
            available = min(available, max(room, 0))
    return Memory(total=tightest or total, available=available)


def _group_memory(directory: Path, version: int) -> tuple[int | None, int]:
    """The limit of one control group, and how much of it is free. Its file cache counts as free."""
    names = ("memory.max", "memory.current") if version == 2 else _MEMORY_V1
    limit, used = (_number(directory / name) for name in names)
    if limit is None or used is None:
        return None, 0
    with suppress(OSError):
        cache = _numbers((directory / "memory.stat").read_text())
        used -= cache.get("inactive_file" if version == 2 else "total_inactive_file", 0)
    return limit, limit - used


_MEMORY_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes")


def pressure(kind: Literal["cpu", "memory", "io"]) -> float | None:
    """Share of the last 10 seconds, in percent, in which some task waited for the resource. None where the kernel
    doesn't account it."""
    data = _read(f"/proc/pressure/{kind}")
    if not data:
        return None
    words = data.decode("ascii").splitlines()[0].split()
    return float(words[1].removeprefix("avg10="))


@dataclass(frozen=True, slots=True)
class Topology:
    logical: int
    physical: int  # cores
    affinity: int  # logical CPUs that this process may run on
    quota: float | None  # CPUs that the control group allows, None when unlimited

    @property
    def usable(self) -> float:
        return min(self.affinity, self.quota or self.affinity)


def cpu_topology() -> Topology:
    logical = os.cpu_count() or 1
    cores = set()
    for directory in Path("/sys/devices/system/cpu").glob("cpu[0-9]*/topology"):
        with suppress(OSError):
            package = (directory / "physical_package_id").read_text().strip()
            cores.add((package, (directory / "core_id").read_text().strip()))
    quotas = [_quota(directory, version) for directory, version in control_groups("cpu")]
    return Topology(
        logical=logical,
        physical=min(len(cores) or logical, logical),
        affinity=len(os.sched_getaffinity(0)),
        quota=min((quota for quota in quotas if quota is not None), default=None),
    )


def _quota(directory: Path, version: int) -> float | None:
    if version == 2:
        words = (_read(str(directory / "cpu.max")) or b"max").split()
        return None if words[0] == b"max" else int(words[0]) / int(words[1])
    quota, period = (_number(directory / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    return quota / period if quota and period and quota > 0 else None


@dataclass(frozen=True, slots=True)
class Disk:
    total: int  # bytes
    free: int  # bytes that we, not only root, may write
    inodes_free: int | None  # None where the file system has no fixed number


def disk(path: str | os.PathLike[str]) -> Disk:
    figures = os.statvfs(path)
    return Disk(
        total=figures.f_blocks * figures.f_frsize,
        free=figures.f_bavail * figures.f_frsize,
        inodes_free=figures.f_favail if figures.f_files else None,
    )


def control_groups(controller: str) -> list[tuple[Path, int]]:
    """Our control group for a controller and those around it, innermost first, each with its version."""
    mounts = _group_mounts()
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _id, names, path = line.split(":", 2)
        version = 2 if not names else 1
        if version == 1 and controller not in names.split(","):
            continue
        mount = mounts.get("" if version == 2 else controller)
        if mount and (version == 1 or (mount[0] / "cgroup.controllers").exists()):
            groups = [(directory, version) for directory in _upwards(*mount, path)]
            if version == 1 or (_read(str(groups[0][0] / "cgroup.controllers")) or b"").split():
                return groups
    return []


def _group_mounts() -> dict[str, tuple[Path, str]]:
    """Controller ("" for version 2) to mount point and the group that is mounted there."""
    mounts: dict[str, tuple[Path, str]] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        root, point = before.split()[3:5]
        kind, _source, options = after.split(maxsplit=2)
        if kind == "cgroup2":
            mounts.setdefault("", (Path(point), root))
        elif kind == "cgroup":
            for name in options.split(","):
                mounts.setdefault(name, (Path(point), root))
    return mounts


def _upwards(point: Path, root: str, path: str) -> list[Path]:
    """From our group's directory up to the mount point. A container's path may lie outside of the mount."""
    inside = os.path.relpath(path, root) if path.startswith(root) else "."
    own = point / inside
    if not own.is_dir():
        own = point
    chain = [own]
    while chain[-1] != point:
        chain.append(chain[-1].parent)
    return chain


def _read(path: str, limit: int = BLOCK) -> bytes | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        data = os.read(fd, BLOCK)
        while BLOCK <= len(data) < limit and (more := os.read(fd, BLOCK)):
            data += more
        return data
    except OSError:  # gone between opening and reading
        return None
    finally:
        os.close(fd)


def _number(path: Path) -> int | None:
    """A file that holds one number. None for "max", and for no such file."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _numbers(text: str) -> dict[str, int]:
    """Lines of a name and a number, whatever stands after them."""
    numbers = {}
    for line in text.splitlines():
        words = line.replace(":", " ").split()
        if len(words) >= 2 and words[1].isdigit():
            numbers[words[0]] = int(words[1])
    return numbers
