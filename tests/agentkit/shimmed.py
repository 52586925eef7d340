"""A package, and cargo in front of it as agents have it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from agentkit.building.slots import is_ticket

ROOT = Path(__file__).parents[2]
ECHO = """
use std::io::{IsTerminal, Read};
fn main() {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).unwrap();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    println!("{} {:?} {}", text.trim(), arguments, std::io::stdout().is_terminal());
    std::process::exit(7);
}
"""
SLEEP = 'fn main() { println!("up"); std::thread::sleep(std::time::Duration::from_secs(60)); }'


class Crate:
    """A package, and an environment in which `cargo` is the shim."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.path = base / "a crate ü"
        (self.path / "src").mkdir(parents=True)
        (self.path / "Cargo.toml").write_text('[package]\nname = "p"\nversion = "0.1.0"\nedition = "2021"\n')
        self.main(ECHO)
        self.slots, self.reports, self.directory = base / "slots", base / "reports", base / "built here ü"
        self.slots.mkdir()
        self.reports.mkdir()
        shims = base / "shims"
        shims.mkdir()
        shim = shims / "cargo"
        shim.write_text(f'#!/bin/sh\nexec {sys.executable} -IS {ROOT}/agentkit/shims.py cargo "$@"\n')
        shim.chmod(0o755)
        self.plain = {
            name: value for name, value in os.environ.items() if not name.startswith(("CARGO_", "SWARMYARD_"))
        }
        self.environment = self.plain | {
            "PATH": f"{shims}:{os.environ['PATH']}",
            "SWARMYARD_SHIMS": str(shims),
            "SWARMYARD_SLOTS": str(self.slots),
            "SWARMYARD_BUILD_REPORTS": str(self.reports),
            "SWARMYARD_BUILD_DIRS": str(self.directory),
        }

    def main(self, text: str) -> None:
        (self.path / "src" / "main.rs").write_text(text)

    def cargo(self, *argv: str, shim: bool = True, **options) -> subprocess.CompletedProcess[bytes]:
        options = {"cwd": self.path, "capture_output": True, "timeout": 60} | options
        environment = (self.environment if shim else self.plain) | options.pop("env", {})
        return subprocess.run(["cargo", *argv], env=environment, **options)

    def start(self, *argv: str, **options) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["cargo", *argv], cwd=self.path, env=self.environment, start_new_session=True, **options
        )

    def built(self) -> Path:
        (directory,) = self.directory.iterdir()
        return directory

    def report(self) -> dict:
        (report,) = self.all_reports()
        return report

    def all_reports(self) -> list[dict]:
        return [json.loads(path.read_text()) for path in sorted(self.reports.iterdir())]

    def tickets(self) -> list[str]:
        return [name for name in os.listdir(self.slots) if is_ticket(name)]


def until(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)
    return result


def group_members(group: int) -> list[str]:
    """Command lines of the live processes of this process group."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
                if int(fields[2]) == group and fields[0] not in "ZX":
                    found.append(Path(f"/proc/{name}/cmdline").read_text())
    return found


def child_of(pid: int) -> int:
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


def kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
