"""A home with a repository, its base and agents' workspaces, made by the yard's own code in this process: builds are
what is measured, and nothing else shall run beside them."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import django
from yard import PROJECT

sys.path.insert(0, str(PROJECT))


def set_up(home: Path) -> None:
    """Before `WarmYard` is made, and once in a process."""
    for name in [
        name for name in os.environ if name.startswith(("SWARMYARD_", "CARGO_", "RUSTC_", "RUSTFLAGS"))
    ]:
        del os.environ[name]
    os.environ |= {"SWARMYARD_HOME": str(home), "DJANGO_SETTINGS_MODULE": "controlplane.settings"}
    os.environ["SWARMYARD_LOG_LEVEL"] = "ERROR"
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


class WarmYard:
    def __init__(self, source: Path, branch: str, commands: Sequence[str]) -> None:
        from django.utils import timezone

        from apps.builds import places
        from apps.builds.models import BuildOptions
        from apps.fleet import view
        from apps.fleet.models import Host
        from apps.workspaces.models import Repository

        places.make_ready()
        self.now = timezone.now
        self.source = source
        self.obstacle = view.obstacle()
        equipment = {
            "programs": {},
            "presets_problem": "",
            "limits_problem": "",
            "view_problem": self.obstacle,
        }
        self.host = Host.objects.create(name="local", equipment=equipment)
        self.repository = Repository.objects.create(name="bench", path=str(source), target=branch)
        # A compiler cache would help cold builds from the second one on.
        BuildOptions.objects.create(
            repository=self.repository, base_commands="\n".join(commands), compiler_cache=False
        )
        words = ["git", "-C", str(source), "rev-parse", branch]
        self.commit = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
        self.number = 0

    def build_base(self) -> float:
        """Seconds."""
        from apps.builds.base_actions import ensure_base
        from apps.builds.base_builder import build_base

        base = ensure_base(repository=self.repository, host=self.host, commit=self.commit, now=self.now())
        build_base(base)
        base.refresh_from_db()
        if base.problem:
            raise RuntimeError(f"the base could not be built: {base.problem}")
        return float(base.seconds or 0)

    def agent(self, *, warm: bool) -> "BuildingAgent":
        """With a workspace that was just made. A cold one is as without Swarmyard, but for its directory and slots."""
        from apps.builds.warming import Start, Warmth
        from apps.fleet.models import Agent
        from apps.workspaces.checkouts import create_workspace
        from apps.workspaces.models import Workspace

        self.number += 1
        name = f"w1/agent-{self.number:03}"
        agent = Agent.objects.create(name=name, group="w1", preset="command", host=self.host)
        workspace = Workspace.objects.create(
            repository=self.repository,
            agent=agent,
            path=str(Path(os.environ["SWARMYARD_HOME"]) / "workspaces" / name),
            branch=f"yard/{name}",
            base_commit=self.commit,
        )
        if problem := create_workspace(workspace):
            raise RuntimeError(problem)
        warmth = Warmth([workspace])
        began = time.monotonic()
        start = warmth.start_of(workspace) if warm else Start()
        seconds = time.monotonic() - began
        if warm and not start.keys:
            raise RuntimeError(f"an agent isn't warm: {start.source}")
        return BuildingAgent(workspace, start, seconds)


class BuildingAgent:
    """A shell in its workspace, in its view, as the agent that works there has one for long: it waits for `go`."""

    def __init__(self, workspace: Any, start: Any, seed_seconds: float) -> None:
        from apps.builds import places
        from apps.builds.preparing import environments_for
        from apps.fleet import view

        self.path = Path(workspace.path)
        self.built = places.directories_of(workspace)
        self.seed_seconds = seed_seconds
        given = environments_for([workspace], {workspace.pk} if start.view else ())[workspace.pk]
        self.environment = {**os.environ, **given, "PATH": f"{places.shims()}:{os.environ['PATH']}"}
        self.prefix = view.prefix(start.view, view.seen_at(start.view, str(self.path)))
        self.said = self.path.with_name(f"{self.path.name}.said")

    def leave_yard(self, given: dict[str, str]) -> None:
        """Build as without us: no shims, nothing of ours in the environment, but what is `given`."""
        kept = {name: value for name, value in self.environment.items() if not name.startswith("SWARMYARD_")}
        self.environment = {**kept, "PATH": kept["PATH"].partition(os.pathsep)[2], **given}

    def stand_ready(self, script: str) -> None:
        with self.said.open("wb") as said:
            self.process = subprocess.Popen(
                [*self.prefix, "sh", "-ec", f"echo; read go; exec >/dev/null </dev/null\n{script}"],
                cwd=self.path,
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
            )
        if self.process.stdout is None or not self.process.stdout.read(1):
            self.finish()

    def go(self) -> None:
        if self.process.stdin is not None:
            self.process.stdin.write(b"\n")
            self.process.stdin.close()

    def finish(self) -> None:
        if self.process.wait() != 0:
            raise RuntimeError(f"a build failed: {self.said.read_text(errors='replace')[-2000:]}")

    def build(self, script: str) -> float:
        """Seconds."""
        self.stand_ready(script)
        began = time.monotonic()
        self.go()
        self.finish()
        return time.monotonic() - began

    def edit(self, path: str, number: int) -> None:
        """A function more, so that the crate is another one."""
        with (self.path / path).open("a") as file:
            file.write(f"\n#[allow(dead_code)]\npub(crate) fn edited_{number}() -> u64 {{ {number} }}\n")

    def empty(self) -> None:
        """Frees what its builds take of the disk, not the files: ext4 without a journal doesn't give out the inode of a
        file that was just removed, and looks over all of these for each new file of whoever is measured next."""
        for place, _, names in os.walk(self.built):
            for name in names:
                path = Path(place, name)
                if path.is_file() and not path.is_symlink() and path.stat().st_nlink == 1:
                    os.truncate(path, 0)
